/** Stores 50 rows for each line of standard input, and prints how many are in the file then. */
import { createInterface } from 'node:readline';
import { LogitsCache } from '../../lib/checkpoint/logits-cache/cache.ts';
import { inventedRecipe, rowsOfBatch } from './logits-recipe.ts';

const [folder = '', first, step] = process.argv.slice(2);
const recipe = inventedRecipe();
const cache = await LogitsCache.open(folder, recipe, { writes: true });
let stored = 0;
for await (const _ of createInterface({ input: process.stdin })) {
  const ids = Array.from({ length: 50 }, (_, index) => Number(first) + (stored + index) * Number(step));
  const batch = { view: 0, ids, partners: null };
  cache.keep(batch, rowsOfBatch(recipe, batch));
  await cache.flush();
  stored += ids.length;
  process.stdout.write(`${stored}\n`);
}
await cache.close();
