/** Synthetic MNIST-M: the recipe pixel by pixel, and that its name never stands without the word. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { blendDigits, MADE_FROM } from '../../cli/dataset/blended-digits.ts';
import { openSource } from '../../lib/data/formats/open-source.ts';
import { importDataset } from '../../lib/data/import-dataset.ts';
import { openDataset } from '../../lib/data/open-dataset.ts';
import type { SampleSource } from '../../lib/data/sample-source.ts';
import { runClis } from '../helpers/cli-batch.ts';
import { writeSmallDataset } from '../helpers/small-dataset.ts';
import { writeIdxFolder } from '../helpers/source-folders.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

const SEED = 5;
const SIDE = 28;
const PHOTO_SIDE = 32;

async function setUp(t: ExecutionContext) {
  const root = await tempFolder(t);
  const digits = await writeIdxFolder(path.join(root, 'files'), { seed: SEED, side: SIDE, train: 40, test: 20 });
  // Of the photographs the first three are for training.
  await writeSmallDataset(root, 'photos', {
    seed: SEED,
    files: [
      ['train', 3],
      ['test', 2],
    ],
  });
  const photos = await openDataset(root, 'photos');
  t.teardown(() => photos.close());
  const open = async (seed: number): Promise<SampleSource> => {
    const source = await openSource(path.join(root, 'files'), { format: 'idx', scratch: root });
    return blendDigits({ digits: source, photos, seed });
  };
  return { root, digits, photos, open };
}

async function readAll(source: SampleSource): Promise<Uint8Array[]> {
  const images: Uint8Array[] = [];
  for (let index = 0; index < source.count; index++) images.push(await source.read(index));
  await source.close();
  return images;
}

test(`every pixel is |digit - photograph| of one crop, of a photograph of the same split (seed ${SEED})`, async (t) => {
  const { digits, photos, open } = await setUp(t);
  const source = await open(1);
  t.like(source, { count: 60, image: { height: SIDE, width: SIDE, channels: 3 } });
  const pictures = { train: await photos.load([0, 1, 2]), test: await photos.load([3, 4]) };
  const seen = { train: new Set<string>(), test: new Set<string>() };
  const taken = { train: 0, test: 0 };
  for (let index = 0; index < source.count; index++) {
    const split = source.splitOf(index);
    const digit = digits.images[split][taken[split]] as Uint8Array;
    t.is(source.labelOf(index), digits.labels[split][taken[split]++] as number);
    const crops = cropsThatGive(await source.read(index), digit, pictures[split]);
    t.is(crops.length, 1, `sample ${index}`);
    seen[split].add(crops[0] as string);
  }
  t.true(seen.train.size > 20, 'crops differ');
  await source.close();
});

/** Dumb search: all crops of all photographs. @returns those that give the image */
function cropsThatGive(image: Uint8Array, digit: Uint8Array, photos: Float32Array): string[] {
  const found: string[] = [];
  const values = PHOTO_SIDE * PHOTO_SIDE * 3;
  for (let photo = 0; photo * values < photos.length; photo++) {
    for (let top = 0; top <= PHOTO_SIDE - SIDE; top++) {
      for (let left = 0; left <= PHOTO_SIDE - SIDE; left++) {
        const isIt = image.every((value, at) => {
          const [row, column] = [Math.floor(at / (3 * SIDE)), Math.floor(at / 3) % SIDE];
          const pixel = photos[photo * values + 3 * ((top + row) * PHOTO_SIDE + left + column) + (at % 3)] as number;
          return value === Math.abs((digit[row * SIDE + column] as number) - pixel);
        });
        if (isIt) found.push(`${photo} ${top} ${left}`);
      }
    }
  }
  return found;
}

test('the seed decides', async (t) => {
  const { open } = await setUp(t);
  const [first, again, other] = [
    await readAll(await open(1)),
    await readAll(await open(1)),
    await readAll(await open(2)),
  ];
  t.deepEqual(first, again);
  t.notDeepEqual(first, other);
});

test('the manifest, list, info, previews and doctor say that it is synthetic; other files than MNIST’s are refused', async (t) => {
  const { root, open } = await setUp(t);
  const source = await open(1);
  const manifest = await importDataset(source, path.join(root, 'blended'), { name: 'blended', synthetic: MADE_FROM });
  await source.close();
  t.is(manifest.origin.synthetic, MADE_FROM);
  t.regex(MADE_FROM, /^synthetic MNIST-M: /);
  const environment = {
    STILLHOUSE_DATA: root,
    STILLHOUSE_CACHE: path.join(root, 'cache'),
    STILLHOUSE_COORDINATOR: '',
    NATS_URL: '',
  };
  const job = path.join(root, 'job.yaml');
  await writeFile(job, JOB);
  const sheet = path.join(root, 'sheet.png');
  const [list, info, doctor, fetched, ...previews] = await runClis(
    [
      ['dataset', 'list'],
      ['dataset', 'info', 'blended'],
      ['doctor', '--no-speed-test'],
      ['dataset', 'fetch', 'mnist', '--from', path.join(root, 'files')],
      ['dataset', 'preview', 'blended', '--count', '4', '--out', sheet],
      ['dataset', 'preview', '--job', job, '--count', '4', '--out', sheet],
    ],
    environment,
  );
  t.regex(list?.out ?? '', /^blended .*\(synthetic\)/m);
  t.regex(info?.out ?? '', /synthetic +synthetic MNIST-M: digits of MNIST over random crops of CIFAR-10/);
  t.regex(doctor?.out ?? '', /data set blended +60 images, 10 classes, synthetic, [0-9a-f]{12}/);
  t.is(fetched?.code, 1);
  t.regex(
    fetched?.err ?? '',
    /wrong hash: MNIST's train-images-idx3-ubyte from .*\n.*the files of mnist could not be fetched/,
  );
  t.false(existsSync(path.join(root, 'mnist')));
  t.is(previews.length, 2);
  for (const { out, err } of previews) t.regex(out, /: 4 train.* of blended \(synthetic MNIST-M: /, err);
});

const JOB = `
apiVersion: stillhouse/v1
kind: Job
name: digits
data: { dataset: blended }
teachers: [{ name: big, arch: simple-cnn }]
students: [{ name: small, arch: gap-cnn }]
`;

test('digits that are larger than the photographs, or not grey, are refused', async (t) => {
  const { root, photos } = await setUp(t);
  await writeIdxFolder(path.join(root, 'large'), { seed: SEED, side: 33, train: 10, test: 10 });
  const large = await openSource(path.join(root, 'large'), { format: 'idx', scratch: root });
  t.throws(() => blendDigits({ digits: large, photos, seed: 1 }), { message: /no 33x33 crop fits/ });
  await large.close();
});
