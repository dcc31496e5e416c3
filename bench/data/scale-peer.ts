/** Opens a data set and streams from it, in a process of its own. Arguments: the folder of data sets, the name in it. */
import { createInterface } from 'node:readline';
import { monotonicMs } from '../../lib/base/clock.ts';
import { openDataset } from '../../lib/data/open-dataset.ts';
import { epochOrder } from '../../lib/data/order.ts';
import { NO_VIEWS } from '../../lib/data/views.ts';
import type { ScaleAnswer } from './scale.ts';

const PARTS = 6;
const STEPS_PER_PART = 300;
const BATCH = 128;
const AHEAD = 4;

const [root, name] = process.argv.slice(2) as [string, string];

function memoryMb(): number {
  globalThis.gc?.();
  return process.memoryUsage().rss / 2 ** 20;
}

async function answer(): Promise<ScaleAnswer> {
  const before = memoryMb();
  const startMs = monotonicMs();
  const dataset = await openDataset(root, name, { threads: 1 });
  const openSeconds = (monotonicMs() - startMs) / 1000;
  const openMb = memoryMb() - before;
  const streamMb: number[] = [];
  const ids = dataset.idsOf('train');
  const order = epochOrder({ ids, shards: dataset.shards, seed: 1, lanes: 1 }, 0);
  const loading: Promise<Float32Array>[] = [];
  let position = 0;
  const streamStartMs = monotonicMs();
  for (let part = 0; part < PARTS; part++) {
    for (let step = 0; step < STEPS_PER_PART; step++) {
      if (position + BATCH > order.length) position = 0;
      const view = { rule: { ...NO_VIEWS, flip: true, shift: 4, seed: 1, number: 0 }, partners: null };
      loading.push(dataset.load(order.slice(position, position + BATCH), view));
      position += BATCH;
      if (loading.length > AHEAD) await loading.shift();
    }
    streamMb.push(memoryMb() - before);
  }
  await Promise.all(loading);
  const samplesPerSecond = (1000 * PARTS * STEPS_PER_PART * BATCH) / (monotonicMs() - streamStartMs);
  await dataset.close();
  return { openSeconds, openMb, streamMb, samplesPerSecond };
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = JSON.parse(line).call === 'run' ? await answer() : { version: process.version };
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
