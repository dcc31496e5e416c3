import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import type { Dataset } from '../../../lib/data/dataset.ts';
import { loadBatches } from '../../../lib/data/load-batches.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const IDS = Uint32Array.of(4, 0, 9, 2, 7, 11, 1);
const never = new AbortController().signal;

/** The first sample of every batch that has been asked for, and a sample whose batch cannot be loaded. */
async function watched(t: Parameters<typeof tempFolder>[0], damaged = -1) {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'trees');
  const real = await openDataset(root, 'trees');
  t.teardown(() => real.close());
  const asked: number[] = [];
  const dataset: Dataset = Object.create(real, {
    load: {
      value: async (ids: Uint32Array) => {
        asked.push(ids[0] as number);
        if (ids.includes(damaged)) throw new StillhouseError('DATA_LOSS', 'the shard ends early');
        return real.load(ids);
      },
    },
  });
  return { dataset, real, asked };
}

test('batches come in order, and while one is in use the next one is loaded', async (t) => {
  const { dataset, real, asked } = await watched(t);
  const seen: number[] = [];
  const askedAt: number[] = [];
  for await (const { ids, images } of loadBatches(dataset, IDS, 3, never)) {
    askedAt.push(asked.length);
    t.deepEqual(images, await real.load(ids));
    seen.push(...ids);
  }
  t.deepEqual(seen, [...IDS]);
  t.deepEqual(asked, [4, 2, 1]);
  t.deepEqual(askedAt, [2, 3, 3]);
  for await (const _ of loadBatches(dataset, IDS.subarray(0, 0), 3, never)) t.fail();
});

test('a batch that cannot be loaded ends them when its turn has come', async (t) => {
  const { dataset } = await watched(t, 7);
  const seen: number[] = [];
  const walk = async () => {
    for await (const { ids } of loadBatches(dataset, IDS, 3, never)) seen.push(...ids);
  };
  await t.throwsAsync(walk(), { message: 'the shard ends early' });
  t.deepEqual(seen, [4, 0, 9]);
  // Who stops earlier never hears of it.
  for await (const _ of loadBatches(dataset, IDS, 3, never)) break;
});

test('no batch comes after the abort', async (t) => {
  const { dataset } = await watched(t);
  const controller = new AbortController();
  const walk = async () => {
    for await (const _ of loadBatches(dataset, IDS, 3, controller.signal)) {
      controller.abort(new StillhouseError('CANCELLED', 'it is enough'));
    }
  };
  await t.throwsAsync(walk(), { message: 'it is enough' });
});
