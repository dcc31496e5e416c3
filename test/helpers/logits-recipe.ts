/** Recipes of stored logits that no teacher has answered, and rows that tell what they are of. */
import { sha256 } from '../../lib/base/digest.ts';
import type { CacheRecipe } from '../../lib/checkpoint/logits-cache/recipe.ts';
import { NO_VIEWS, VIEW_PROTOCOL } from '../../lib/data/views.ts';
import { rowBytes } from '../../lib/distill/logits/format.ts';

export const CACHE_SAMPLES = 10_000;

/** Of three classes in single precision: rows of 12 bytes. */
export function inventedRecipe(change: Partial<CacheRecipe> = {}): CacheRecipe {
  return {
    teacherDigest: sha256('teacher'),
    datasetDigest: sha256('data'),
    sampleCount: CACHE_SAMPLES,
    views: null,
    classNames: ['ash', 'beech', 'cedar'],
    format: { encoding: 'fp32', columns: 3, temperatures: [] },
    shape: 16,
    origin: { teacher: 'big', modelDigest: sha256('big'), dataset: 'trees', job: '{}' },
    ...change,
  };
}

export function mixedRecipe(): CacheRecipe {
  const rule = { ...NO_VIEWS, flip: true, mixup: 0.2 };
  return inventedRecipe({ views: { seed: 7, protocol: VIEW_PROTOCOL, rule } });
}

/** The one row that these tests store for a sample. */
export function rowOfSample(recipe: CacheRecipe, view: number, id: number, partner = 0): Uint8Array {
  const row = Buffer.alloc(rowBytes(recipe.format), id & 255);
  row.writeUInt32LE(view, 0);
  row.writeUInt32LE(id, 4);
  row.writeUInt32LE(partner, 8);
  return row;
}

export function rowsOfBatch(
  recipe: CacheRecipe,
  { view, ids, partners }: { view: number; ids: readonly number[]; partners: readonly number[] | null },
): Uint8Array {
  return Buffer.concat(ids.map((id, index) => rowOfSample(recipe, view, id, partners?.[index])));
}
