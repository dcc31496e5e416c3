/**
 * Our side of the data benchmark, in a process of its own: batches of augmented, normalised images.
 * Arguments: the case, the threads, the batch size, the folder of data sets, the name in it. Requests as for torch_peer.py.
 */
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { monotonicMs } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { giveBackRoom } from '../../lib/data/image-room.ts';
import { openDataset } from '../../lib/data/open-dataset.ts';
import { epochOrder } from '../../lib/data/order.ts';
import { decodePlainJpeg } from '../../lib/data/plain-jpeg.ts';
import { NO_VIEWS, type ViewRule } from '../../lib/data/views.ts';
import type { DataRequest } from './protocol.ts';

const [dataCase, threads, batchSize, root, name] = process.argv.slice(2) as [string, string, string, string, string];
const BATCH = Number(batchSize);
/** As many as the DataLoader makes ready: two for each worker. */
const AHEAD = 2 * Number(threads);
const MEAN = [0.485, 0.456, 0.406] as const;
const STD = [0.229, 0.224, 0.225] as const;
const SEED = 1;

/** Pixels 0..255 become what a network takes, in place. */
function normalize(images: Float32Array): Float32Array {
  const [scaleR, scaleG, scaleB] = STD.map((std) => 1 / (255 * std)) as [number, number, number];
  const [biasR, biasG, biasB] = MEAN.map((mean, at) => -mean / (STD[at] as number)) as [number, number, number];
  for (let at = 0; at < images.length; at += 3) {
    images[at] = (images[at] as number) * scaleR + biasR;
    images[at + 1] = (images[at + 1] as number) * scaleG + biasG;
    images[at + 2] = (images[at + 2] as number) * scaleB + biasB;
  }
  return images;
}

/** Batches of one epoch after the other, some of them loading ahead. */
async function* batches(dataset: Dataset): AsyncGenerator<Float32Array> {
  const ids = dataset.idsOf('train');
  const shift = dataCase === 'cifar' ? 4 : 0;
  const loading: Promise<Float32Array>[] = [];
  for (let number = 0; ; number++) {
    const rule: ViewRule = { ...NO_VIEWS, flip: true, shift, seed: SEED, number };
    const order = epochOrder({ ids, shards: dataset.shards, seed: SEED, lanes: 1 }, number);
    for (let from = 0; from + BATCH <= order.length; from += BATCH) {
      loading.push(dataset.load(order.slice(from, from + BATCH), { rule, partners: null }));
      if (loading.length <= AHEAD) continue;
      const images = await (loading.shift() as Promise<Float32Array>);
      yield normalize(images);
      giveBackRoom(images);
    }
  }
}

/** An import shuffles files, so those that are named are decoded by themselves. */
async function look(picks: readonly (number | string)[]): Promise<Float32Array> {
  if (dataCase === 'cifar') return await dataset.load(picks as readonly number[]);
  const { height, width } = dataset.image;
  const images = new Float32Array(picks.length * height * width * 3);
  for (const [index, file] of (picks as readonly string[]).entries()) {
    const pixels = await decodePlainJpeg(await readFile(file), { height, width }, file);
    if (pixels === null) throw new StillhouseError('INTERNAL', `${file} is no plain JPEG file`);
    images.set(
      pixels.filter((_, at) => at % 4 < 3),
      index * height * width * 3,
    );
  }
  return images;
}

const dataset = await openDataset(root, name, { threads: Number(threads) });
const stream = batches(dataset);

async function answer(request: DataRequest): Promise<object> {
  if (request.call === 'info') return { version: `Node.js ${process.version}`, rss: process.memoryUsage().rss };
  if (request.call === 'look') {
    const images = normalize(await look(request.picks));
    return { images: Buffer.from(images.buffer).toString('base64') };
  }
  // What was made ready while others had their turn does not count.
  for (let batch = 0; batch < AHEAD; batch++) await stream.next();
  const startMs = monotonicMs();
  for (let batch = 0; batch < request.batches; batch++) await stream.next();
  return { ms: monotonicMs() - startMs, images: request.batches * BATCH };
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(JSON.parse(line)).catch((error) => ({
    error: StillhouseError.from(error, 'reading').message,
  }));
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
