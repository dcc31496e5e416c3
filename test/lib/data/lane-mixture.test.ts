/** Whether lanes are samples of all classes alike, whatever order the files of a data set were in. */
import path from 'node:path';
import test from 'ava';
import { createRandom, shuffle } from '../../../lib/base/random.ts';
import { importDataset } from '../../../lib/data/import-dataset.ts';
import { laneBatch, laneRange } from '../../../lib/data/lanes.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { epochOrder, type OrderedSamples } from '../../../lib/data/order.ts';
import { importSource } from '../../helpers/import-source.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const SEED = 5;
const CLASSES = 10;
const LANES = 8;
const EPOCHS = 3;

/** Of a chi-square variable of 9 degrees of freedom about one in a million is larger; a lane, drawn without replacement, spreads less. */
const CHI_SQUARE_MAX = 45;

/** Pearson's statistic of the classes of some samples against all classes alike. */
function chiSquare(ids: Uint32Array, labels: ArrayLike<number>): number {
  const counts = new Array<number>(CLASSES).fill(0);
  for (const id of ids) counts[labels[id] as number] = (counts[labels[id] as number] as number) + 1;
  const expected = ids.length / CLASSES;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

/** Of the worst lane, and of the worst of the first steps' global batches, over some epochs. */
function worstMixture(samples: OrderedSamples, labels: ArrayLike<number>): number {
  let worst = 0;
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const order = epochOrder(samples, epoch);
    for (let lane = 0; lane < LANES; lane++) {
      const { start, end } = laneRange(order.length, LANES, lane);
      worst = Math.max(worst, chiSquare(order.slice(start, end), labels));
    }
    for (let step = 0; step < 5; step++) {
      const batch = Array.from({ length: LANES }, (_, lane) => [...laneBatch(order, LANES, lane, 16, step)]);
      worst = Math.max(worst, chiSquare(Uint32Array.from(batch.flat()), labels));
    }
  }
  return worst;
}

const sortedLabels = (samples: number) =>
  Uint8Array.from({ length: samples }, (_, at) => Math.floor((at * CLASSES) / samples));

test(`a class-sorted source gives well-mixed lanes and steps (seed ${SEED})`, async (t) => {
  const folder = path.join(await tempFolder(t), 'sorted');
  const samples = [...sortedLabels(4000)].map((label) => ({
    split: 'train' as const,
    label,
    bytes: Uint8Array.of(label),
  }));
  const classNames = Array.from({ length: CLASSES }, (_, label) => `class ${label}`);
  const tested = samples.slice(-10).map((sample) => ({ ...sample, split: 'test' as const }));
  const storage = { kind: 'raw', height: 1, width: 1, channels: 1 } as const;
  const source = importSource([...samples, ...tested], storage, { classNames });
  await importDataset(source, folder, { name: 'sorted', seed: SEED });
  const dataset = await openDataset(path.dirname(folder), 'sorted');
  t.teardown(() => dataset.close());
  const plan = { ids: dataset.idsOf('train'), shards: dataset.shards, seed: SEED, lanes: LANES };
  const worst = worstMixture(plan, dataset.labels);
  t.true(worst < CHI_SQUARE_MAX, String(worst));
});

test(`with many shards too, and it is the import’s shuffle that does it (seed ${SEED})`, (t) => {
  const shards = Array.from({ length: 96 }, (_, index) => ({ firstId: 100 * index, records: 100 }));
  const sorted = sortedLabels(9600);
  const plan = { ids: Uint32Array.from(sorted.keys()), shards, seed: SEED, lanes: LANES };
  const shuffled = worstMixture(plan, shuffle(sorted.slice(), createRandom(SEED)));
  t.true(shuffled < CHI_SQUARE_MAX, String(shuffled));
  t.true(worstMixture(plan, sorted) > 3 * CHI_SQUARE_MAX, 'an order of shards alone would not mix them');
});
