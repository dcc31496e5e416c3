/** The data set of a job: classes, damaged samples, pairs of domains. */
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom, type Random } from '../../../lib/base/random.ts';
import type { Dataset } from '../../../lib/data/dataset.ts';
import { decodeImage } from '../../../lib/data/decode-image.ts';
import { importDataset } from '../../../lib/data/import-dataset.ts';
import { scaleImages } from '../../../lib/data/scale-images.ts';
import { applyViews, cropBox, mixImages, NO_VIEWS } from '../../../lib/data/views.ts';
import { Datasets } from '../../../lib/wire/datasets.ts';
import { openJobData } from '../../../lib/wire/job-data.ts';
import type { DataSpec } from '../../../lib/wire/job-spec.ts';
import { importSource, type MemorySample } from '../../helpers/import-source.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const SEED = 31;

interface Made {
  readonly classNames?: readonly string[];
  readonly side?: number;
  readonly channels?: 1 | 3;
  readonly train?: number;
  readonly damaged?: number;
  readonly synthetic?: string;
}

const RAW = { kind: 'raw', height: 8, width: 8, channels: 3 } as const;
const TREES = ['ash', 'beech', 'cedar', 'elm'];

function madeSamples(random: Random, { classNames = TREES, side = 8, channels = 3, train = 40, damaged = 0 }: Made) {
  return Array.from({ length: train + 12 }, (_, index): MemorySample => {
    const bytes = Uint8Array.from({ length: side * side * channels }, () => random.nextInt(256));
    const split = index < train ? 'train' : 'test';
    return { split, label: index % classNames.length, bytes: index < damaged ? null : bytes };
  });
}

/** Data sets of these names, imported, and what jobs open of them. */
async function dataSets(t: ExecutionContext, made: Readonly<Record<string, Made>>): Promise<Datasets> {
  const root = await tempFolder(t);
  for (const [index, [name, one]] of Object.entries(made).entries()) {
    const { classNames = TREES, side = 8, channels = 3, damaged = 0, synthetic } = one;
    const samples = madeSamples(createRandom(SEED + index), one);
    const source = importSource(samples, { kind: 'raw', height: side, width: side, channels }, { classNames });
    const options = { name, seed: index, badSamples: damaged, statistics: true, synthetic };
    await importDataset(source, path.join(root, name), options);
  }
  const datasets = new Datasets({ root, allowPaths: false, mayAsk: () => false });
  t.teardown(() => datasets.close());
  return datasets;
}

const spec = (changes: Partial<DataSpec> = {}): DataSpec => ({
  dataset: 'trees',
  labelNoise: 0,
  badSamples: 'fail',
  normalize: 'auto',
  calibrate: 0,
  views: NO_VIEWS,
  ...changes,
});

async function refusal(t: ExecutionContext, opening: Promise<unknown>): Promise<StillhouseError> {
  return (await t.throwsAsync(opening, { instanceOf: StillhouseError })) as StillhouseError;
}

const listed = (ids: ArrayLike<number>) => Array.from(ids);

test('a job that changes nothing has the data set itself', async (t) => {
  const datasets = await dataSets(t, { trees: {} });
  const whole = await datasets.open('trees');
  t.is(await openJobData(datasets, spec()), whole);
  t.is(await openJobData(datasets, spec({ classes: TREES })), whole);
  t.is(await openJobData(datasets, spec({ badSamples: { skip: 3 } })), whole);
});

test(`some classes: their samples alone, numbered anew, with the same ids and pixels (seed ${SEED})`, async (t) => {
  const datasets = await dataSets(t, { trees: {} });
  const whole = await datasets.open('trees');
  const some = await openJobData(datasets, spec({ classes: ['elm', 1] }));
  t.deepEqual(some.classNames, ['elm', 'beech']);
  for (const split of ['train', 'test'] as const) {
    const expected = listed(whole.idsOf(split)).filter((id) => [1, 3].includes(whole.labels[id] as number));
    t.deepEqual(listed(some.idsOf(split)), expected);
    for (const id of expected)
      t.is(some.classNames[some.labels[id] as number], whole.classNames[whole.labels[id] as number]);
    t.deepEqual(await some.load(expected), await whole.load(expected));
  }
  t.is(some.statistics, null);
  t.not(whole.statistics, null);
  const again = await openJobData(datasets, spec({ classes: [3, 'beech'] }));
  t.is(again.digest, some.digest);
  const digests = [whole, some, await openJobData(datasets, spec({ classes: ['beech', 'elm'] }))].map(
    (set) => set.digest,
  );
  t.is(new Set(digests).size, 3);
  const error = await refusal(t, openJobData(datasets, spec({ classes: ['elm', 'oak'] })));
  t.is(error.field, 'data.classes[1]');
});

test('damaged samples are refused, or skipped as far as the job allows', async (t) => {
  const datasets = await dataSets(t, { trees: { damaged: 3 } });
  const refused = await refusal(t, openJobData(datasets, spec()));
  t.is(refused.field, 'data.badSamples');
  const whole = await datasets.open('trees');
  const [first] = whole.badSamples;
  t.regex(
    refused.message,
    /^data\.badSamples: trees has 3 damaged samples; the first is sample \d+, memory\.bin at offset \d+: /,
  );
  t.true(refused.message.includes(`sample ${first?.id}, ${first?.source}`));
  const few = await refusal(t, openJobData(datasets, spec({ badSamples: { skip: 2 } })));
  t.regex(few.message, /3 damaged samples, more than the 2 that may be skipped/);
  t.regex(few.hint ?? '', /skip: 3/);
  const skipping = await openJobData(datasets, spec({ badSamples: { skip: 3 } }));
  const used = [...skipping.idsOf('train'), ...skipping.idsOf('test')];
  t.is(used.length, 49);
  t.true(skipping.badSamples.every(({ id }) => !used.includes(id)));
});

const PAIR = {
  trees: { side: 8 },
  leaves: { side: 12, channels: 1, classNames: ['elm', 'cedar', 'beech', 'ash'], train: 24, damaged: 1 },
} as const;

async function openPair(t: ExecutionContext, changes: Partial<DataSpec> = {}): Promise<[Datasets, Dataset]> {
  const datasets = await dataSets(t, PAIR);
  const source = { dataset: 'leaves', match: 'name' } as const;
  const pair = await openJobData(datasets, spec({ source, badSamples: { skip: 1 }, ...changes }));
  return [datasets, pair];
}

test('a pair of domains: the target’s splits, the source’s training samples behind its ids, by the target’s classes', async (t) => {
  const [datasets, pair] = await openPair(t);
  const [target, source] = [await datasets.open('trees'), await datasets.open('leaves')];
  const first = target.sampleCount;
  t.is(pair.sampleCount, first + source.sampleCount);
  t.deepEqual(pair.idsOf('train'), target.idsOf('train'));
  t.deepEqual(pair.idsOf('test'), target.idsOf('test'));
  t.deepEqual(
    listed(pair.sourceIds),
    listed(source.idsOf('train')).map((id) => first + id),
  );
  for (const id of pair.sourceIds) {
    t.is(pair.classNames[pair.labels[id] as number], source.classNames[source.labels[id - first] as number]);
  }
  t.deepEqual(listed(pair.labels).slice(0, first), listed(target.labels));
  t.deepEqual(
    pair.badSamples.map(({ id }) => id),
    source.badSamples.map(({ id }) => first + id),
  );
  let next = 0;
  for (const { firstId, records } of pair.shards) {
    t.is(firstId, next);
    next += records;
  }
  t.is(next, pair.sampleCount);
  t.false([target.digest, source.digest].includes(pair.digest));
  const [, byPosition] = await openPair(t, { source: { dataset: 'leaves', match: 'position' } });
  t.not(byPosition.digest, pair.digest);
  const id = pair.sourceIds[0] as number;
  t.is(byPosition.labels[id], source.labels[id - first]);
  t.is(pair.statistics, null);
});

test('images of the source take the target’s size; views and mixes of both are those of everyone else', async (t) => {
  const [datasets, pair] = await openPair(t);
  const [target, source] = [await datasets.open('trees'), await datasets.open('leaves')];
  const first = target.sampleCount;
  const plain = async (ids: readonly number[]) => {
    const parts = ids.map(async (id) =>
      id < first ? target.load([id]) : scaleImages(await source.load([id - first]), source.image, target.image),
    );
    return Float32Array.from((await Promise.all(parts)).flatMap((part) => [...part]));
  };
  const ids = [pair.sourceIds[3], 0, pair.sourceIds[0], 7, 0].map(Number);
  t.deepEqual(await pair.load(ids), await plain(ids));
  const rule = { ...NO_VIEWS, flip: true, shift: 2, mixup: 0.4, seed: 4, number: 6 };
  const viewed = async (of: readonly number[]) => {
    const images = await plain(of);
    applyViews(images, of, target.image, rule);
    return images;
  };
  t.deepEqual(await pair.load(ids, { rule, partners: null }), await viewed(ids));
  const partners = [5, pair.sourceIds[1], pair.sourceIds[2], 9, pair.sourceIds[0]].map(Number);
  const expected = await viewed(ids);
  mixImages(expected, await viewed(partners), ids, target.image, rule);
  t.deepEqual(await pair.load(ids, { rule, partners }), expected);
  t.deepEqual(await pair.load([], { rule, partners: null }), new Float32Array(0));
});

test(`pictures of the source are decoded to the target’s size, their views drawn by the pair’s ids (seed ${SEED})`, async (t) => {
  const root = await tempFolder(t);
  const random = createRandom(SEED);
  const trees = importSource(madeSamples(random, {}), RAW, { classNames: TREES });
  await importDataset(trees, path.join(root, 'trees'), { name: 'trees' });
  const pixels = Uint8Array.from({ length: 20 * 14 * 3 }, () => random.nextInt(256));
  const size = { width: 20, height: 14 };
  const picture = await sharp(pixels, { raw: { ...size, channels: 3 } })
    .png()
    .toBuffer();
  // All alike: which sample is which does not matter.
  const samples = madeSamples(random, {}).map((sample) => ({ ...sample, bytes: new Uint8Array(picture) }));
  const photos = importSource(samples, { kind: 'encoded', fit: 'squash' }, { classNames: TREES, size: 12 });
  await importDataset(photos, path.join(root, 'photos'), { name: 'photos' });

  const rule = { ...NO_VIEWS, flip: true, shift: 1, mixup: 0.4, cutmix: 0.4, seed: 4, number: 6 };
  const cropped = { ...rule, crop: { scale: [0.3, 0.8], ratio: [0.5, 2] } } as const;
  const answers: Float32Array[][] = [];
  for (const threads of [0, 1]) {
    const datasets = new Datasets({ root, allowPaths: false, mayAsk: () => false, threads });
    t.teardown(() => datasets.close());
    const pair = await openJobData(datasets, spec({ source: { dataset: 'photos', match: 'name' } }));
    const target = await datasets.open('trees');
    const expected = async (id: number) => {
      if (id < target.sampleCount) return target.load([id], { rule: cropped, partners: null });
      const box = cropBox(id, cropped, size);
      const image = Float32Array.from(await decodeImage(picture, target.image, { fit: 'squash', box, where: 'it' }));
      applyViews(image, [id], target.image, cropped, { cropped: true });
      return image;
    };
    const all = async (ids: readonly number[]) =>
      Float32Array.from((await Promise.all(ids.map(expected))).flatMap((image) => [...image]));
    const ids = [3, 54, 55, 0, 60, 55, 1].map(Number);
    const partners = [52, 53, 4, 5, 70, 6, 61];
    const mixed = await all(ids);
    mixImages(mixed, await all(partners), ids, target.image, cropped);
    const loaded = [
      await pair.load(ids, { rule: cropped, partners: null }),
      await pair.load(ids, { rule: cropped, partners }),
      await pair.load(ids, { rule, partners }),
      await pair.load(ids),
    ];
    t.deepEqual(loaded[0], await all(ids));
    t.deepEqual(loaded[1], mixed);
    answers.push(loaded);
    await t.throwsAsync(pair.load([0, pair.sampleCount]), { message: /is not in the data set photos/ });
    await datasets.close();
    await t.throwsAsync(pair.load([0]), { message: /has been closed/ });
  }
  t.deepEqual(answers[1], answers[0]);
});

test('a pair of domains with some classes of both', async (t) => {
  const [datasets, pair] = await openPair(t, { classes: ['cedar', 'ash'] });
  const [target, source] = [await datasets.open('trees'), await datasets.open('leaves')];
  t.deepEqual(pair.classNames, ['cedar', 'ash']);
  const expected = listed(source.idsOf('train')).filter((id) => [1, 3].includes(source.labels[id] as number));
  t.deepEqual(
    listed(pair.sourceIds),
    expected.map((id) => target.sampleCount + id),
  );
  for (const id of [...pair.sourceIds, ...pair.idsOf('train')]) {
    const of = id < target.sampleCount ? target : source;
    const label = of.labels[id < target.sampleCount ? id : id - target.sampleCount] as number;
    t.is(pair.classNames[pair.labels[id] as number], of.classNames[label]);
  }
});

for (const { title, source, classes, field, message } of [
  {
    title: 'a class that the source lacks',
    source: { dataset: 'shrubs', match: 'name' },
    field: 'data.source.match',
    message: /shrubs has no class ash, elm, which trees has/,
  },
  {
    title: 'a class that the target lacks',
    source: { dataset: 'woods', match: 'name' },
    field: 'data.source.match',
    message: /trees has no class oak, which woods has/,
  },
  {
    title: 'positions of lists of other lengths',
    source: { dataset: 'woods', match: 'position' },
    classes: ['ash', 'elm'],
    field: 'data.source.match',
    message: /woods has 5 classes, trees has 4/,
  },
  {
    title: 'the target as its own source',
    source: { dataset: 'trees', match: 'name' },
    field: 'data.source.dataset',
    message: /trees is the target itself/,
  },
  {
    title: 'a source that is not there',
    source: { dataset: 'moss', match: 'name' },
    field: 'data.source.dataset',
    message: /^data\.source\.dataset: .*moss/,
  },
] as const) {
  test(`refused: ${title}`, async (t) => {
    const datasets = await dataSets(t, {
      trees: {},
      shrubs: { classNames: ['beech', 'cedar', 'box'] },
      woods: { classNames: [...TREES, 'oak'] },
    });
    const opening = openJobData(datasets, spec({ source, ...(classes !== undefined && { classes: [...classes] }) }));
    const error = await refusal(t, opening);
    t.is(error.field, field);
    t.regex(error.message, message);
  });
}

test('classes that only the source has are left out where the job names those that count', async (t) => {
  const datasets = await dataSets(t, { trees: {}, woods: { classNames: [...TREES, 'oak'] } });
  const source = { dataset: 'woods', match: 'name' } as const;
  const pair = await openJobData(datasets, spec({ source, classes: TREES }));
  const woods = await datasets.open('woods');
  t.is(pair.sourceIds.length, listed(woods.idsOf('train')).filter((id) => woods.labels[id] !== 4).length);
});

test('synthetic samples stay called so, whatever a job makes of their data set', async (t) => {
  const datasets = await dataSets(t, { trees: {}, drawn: { synthetic: 'drawn by lot' } });
  const source = (dataset: string) => ({ source: { dataset, match: 'name' } as const });
  const [plain, made, some, from, onto] = await Promise.all([
    openJobData(datasets, spec()),
    openJobData(datasets, spec({ dataset: 'drawn' })),
    openJobData(datasets, spec({ dataset: 'drawn', classes: ['elm'] })),
    openJobData(datasets, spec(source('drawn'))),
    openJobData(datasets, spec({ dataset: 'drawn', ...source('trees') })),
  ]);
  t.is(plain?.synthetic, null);
  for (const dataset of [made, some, from, onto]) t.is(dataset?.synthetic, 'drawn by lot');
});
