/**
 * What each encoding of logits costs and loses with 1,000 classes: the real EfficientNet-Lite0 on real images, bytes of a sample
 * and the divergence of what a student decodes from what the teacher said, KL(full ‖ decoded) over all classes at several
 * temperatures. The smallest encoding that stays within the bar is what `distill.logits: auto` takes.
 */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { table } from '../../cli/text.ts';
import { cacheRoot, dataRoot } from '../../lib/base/folders.ts';
import { availableCores } from '../../lib/base/machine.ts';
import { indexOfMax } from '../../lib/base/vectors.ts';
import { openDataset } from '../../lib/data/open-dataset.ts';
import { Compute } from '../../lib/distill/compute.ts';
import {
  decodeRows,
  encodeRows,
  type LogitsEncoding,
  type LogitsFormat,
  rowBytes,
} from '../../lib/distill/logits/format.ts';
import { filledLogits } from '../../lib/distill/logits/tails.ts';
import { TAIL } from '../../lib/distill/logits/top-k.ts';
import { openModel } from '../../lib/distill/predictor.ts';
import { configureEngine } from '../../lib/engine/environment.ts';
import { importModel } from '../../lib/model/imported-model.ts';
import { openWeights } from '../../lib/model/weights-source.ts';
import { smallestFormat } from '../../lib/wire/logits-formats.ts';

/** One encoding on one set of images. */
export interface EncodingRow {
  readonly images: string;
  readonly encoding: LogitsEncoding;
  /** Of a sample. */
  readonly bytes: number;
  /** Over all classes, in the order of `TEMPERATURES`. */
  readonly divergences: readonly Divergence[];
  /** Of `topK`: over the kept classes, and the others as one. */
  readonly bins: readonly Divergence[] | null;
}

/** In nats. */
interface Divergence {
  readonly mean: number;
  readonly largest: number;
}

/** A student's, declared to `topK`. */
const DECLARED = [1, 4] as const;
/** The last lies between the declared ones. */
const TEMPERATURES = [...DECLARED, 2] as const;
const BAR = 1e-2;
const ENCODINGS: readonly LogitsEncoding[] = [
  ...(['fp32', 'probabilities', 'fp16', 'bf16', 'int8', 'int4'] as const),
  { topK: 64 },
  { topK: 16 },
];

const CIFAR_IMAGES = 1000;
/** Crops of a photograph: pixels of a side, and how many there are across and down. */
const CROP = 160;
const CROPS = 5;
const BATCH = 20;

interface Teacher {
  readonly classes: number;
  predict(images: Float32Array): Promise<Float32Array>;
}

/** Prints the table. @returns whether the product's default is the smallest within the bar */
export async function benchEncodings(out: (line: string) => void): Promise<boolean> {
  configureEngine({ intraOpThreads: availableCores(), interOpThreads: 1 });
  return printEncodings(await encodingsTable(out), out);
}

/** Needs the weights and the data set that `npm run setup` brings. @returns a row for each encoding and set of images */
export async function encodingsTable(out: (line: string) => void): Promise<EncodingRow[]> {
  const compute = new Compute();
  try {
    const rows: EncodingRow[] = [];
    for (const { name, side, images } of [await cifarImages(), await photographs()]) {
      const teacher = await openTeacher(compute, side);
      const logits = await teacher.predict(images);
      out(`  ${name}: ${describe(logits, teacher.classes)}`);
      rows.push(...ENCODINGS.map((encoding) => measure(name, encoding, logits, teacher.classes)));
    }
    return rows;
  } finally {
    await compute.close();
  }
}

/** @returns whether the smallest encoding within the bar is the product's default */
function printEncodings(rows: readonly EncodingRow[], out: (line: string) => void): boolean {
  const number = (value: number) => (value === 0 ? '0' : value.toExponential(1));
  for (const images of new Set(rows.map((row) => row.images))) {
    out(`${images}: KL(full ‖ decoded) over all classes, mean and largest`);
    const cells = (divergences: readonly Divergence[]) =>
      divergences.map(({ mean, largest }) => `${number(mean)}  ${number(largest)}`);
    const lines = rows
      .filter((row) => row.images === images)
      .flatMap(({ encoding, bytes, divergences, bins }) => [
        [nameOf(encoding), String(bytes), ...cells(divergences)],
        ...(bins === null ? [] : [['  the others as one', '', ...cells(bins)]]),
      ]);
    const undeclared = TEMPERATURES.slice(DECLARED.length).map((T) => `T=${T}, not declared`);
    const head = ['', 'bytes a sample', ...DECLARED.map((T) => `T=${T}`), ...undeclared];
    for (const line of table([head, ...lines])) out(`  ${line}`);
  }
  const best = smallestWithinBar(rows);
  const own = smallestFormat(CLASSES).encoding;
  const isDefault = best === own;
  out(
    `  ${isDefault ? 'reached' : 'MISSED'}: the smallest with KL ≤ ${BAR} is ${nameOf(best)}, the default ${nameOf(own)}`,
  );
  return isDefault;
}

const CLASSES = 1000;

function nameOf(encoding: LogitsEncoding): string {
  return typeof encoding === 'string' ? encoding : `top-${encoding.topK}`;
}

/** Of those that serve any loss and any number of temperatures. */
function smallestWithinBar(rows: readonly EncodingRow[]): LogitsEncoding {
  const fits = ENCODINGS.filter((encoding) => encoding !== 'probabilities').filter((encoding) =>
    rows
      .filter((row) => row.encoding === encoding)
      .every(({ divergences }) => divergences.slice(0, DECLARED.length).every(({ mean }) => mean <= BAR)),
  );
  const bytesOf = (encoding: LogitsEncoding) => rows.find((row) => row.encoding === encoding)?.bytes ?? 0;
  return fits.reduce((best, encoding) => (bytesOf(encoding) < bytesOf(best) ? encoding : best));
}

function measure(images: string, encoding: LogitsEncoding, logits: Float32Array, columns: number): EncodingRow {
  const rows = logits.length / columns;
  const isTopK = typeof encoding !== 'string';
  const divergences: Divergence[] = [];
  const bins: Divergence[] = [];
  let bytes = 0;
  for (const T of TEMPERATURES) {
    // Probabilities are softened at the one temperature that the student has.
    const temperatures = encoding === 'probabilities' ? [T] : isTopK ? DECLARED : [];
    const format: LogitsFormat = { encoding, columns, temperatures };
    bytes = rowBytes(format);
    const decoded = decodeRows(encodeRows(logits, format), rows, format, 'the benchmark');
    const filled = filledLogits(decoded, T);
    const each = Array.from({ length: rows }, (_, row) => {
      const [start, end] = [row * columns, (row + 1) * columns];
      const kept = decoded.logits.subarray(start, end).map((logit) => (isTopK && logit === TAIL ? 0 : 1));
      return divergence(logits.subarray(start, end), filled.subarray(start, end), kept, T);
    });
    divergences.push(summary(each.map((value) => value.classes)));
    bins.push(summary(each.map((value) => value.bins)));
  }
  return { images, encoding, bytes, divergences, bins: isTopK ? bins : null };
}

function summary(values: readonly number[]): Divergence {
  return { mean: values.reduce((sum, value) => sum + value, 0) / values.length, largest: Math.max(...values) };
}

/**
 * KL(softmax(full / T) ‖ softmax(decoded / T)), in double precision: over all classes, and with those that are not kept as one.
 * @param kept 1 or 0 by class
 */
function divergence(full: Float32Array, decoded: Float32Array, kept: Float32Array, T: number) {
  const [p, q] = [logSoftmax(full, T), logSoftmax(decoded, T)];
  const sums = { kept: 0, others: 0, p: 0, q: 0 };
  for (const [index, logP] of p.entries()) {
    const logQ = q[index] as number;
    const part = Math.exp(logP) * (logP - logQ);
    if (kept[index] === 1) {
      sums.kept += part;
    } else {
      sums.others += part;
      sums.p += Math.exp(logP);
      sums.q += Math.exp(logQ);
    }
  }
  const joined = sums.q === 0 ? 0 : sums.p * Math.log(sums.p / sums.q);
  // What rounding leaves of 0 may be below it.
  return { classes: Math.max(0, sums.kept + sums.others), bins: Math.max(0, sums.kept + joined) };
}

function logSoftmax(logits: Float32Array, T: number): Float64Array {
  const largest = logits[indexOfMax(logits)] as number;
  const scaled = Float64Array.from(logits, (logit) => (logit - largest) / T);
  const normaliser = Math.log(scaled.reduce((sum, value) => sum + Math.exp(value), 0));
  return scaled.map((value) => value - normaliser);
}

function describe(logits: Float32Array, columns: number): string {
  const rows = logits.length / columns;
  let range = 0;
  let confidence = 0;
  for (let row = 0; row < rows; row++) {
    const own = logits.subarray(row * columns, (row + 1) * columns);
    range += (Math.max(...own) - Math.min(...own)) / rows;
    confidence += Math.exp(Math.max(...logSoftmax(own, 1))) / rows;
  }
  return `${rows} images, logits over a range of ${range.toFixed(1)}, largest probability ${confidence.toFixed(2)}, in the mean`;
}

/** @param side of the square images that it will be given, which the network scales to its own */
async function openTeacher(compute: Compute, side: number): Promise<Teacher> {
  const source = await openWeights('pretrained:efficientnet-lite0', cacheRoot(process.env));
  const { manifest } = importModel(source, {});
  const shape = { height: side, width: side, channels: 3 };
  const model = await openModel(compute, manifest, source.tensors, [BATCH], shape);
  const size = side * side * 3;
  return {
    classes: manifest.classNames.length,
    async predict(images) {
      const count = images.length / size;
      const logits = new Float32Array(count * manifest.classNames.length);
      for (let start = 0; start < count; start += BATCH) {
        const batch = images.slice(start * size, (start + BATCH) * size);
        logits.set(await model.predict(batch, batch.length / size), start * manifest.classNames.length);
      }
      return logits;
    },
  };
}

interface Images {
  readonly name: string;
  readonly side: number;
  /** RGB 0..255, [count, side, side, 3]. */
  readonly images: Float32Array;
}

async function cifarImages(): Promise<Images> {
  const dataset = await openDataset(dataRoot(process.env), 'cifar10', { verifyContent: false });
  try {
    const ids = dataset.idsOf('test').subarray(0, CIFAR_IMAGES);
    return { name: 'CIFAR-10, test images, scaled up', side: dataset.image.height, images: await dataset.load(ids) };
  } finally {
    await dataset.close();
  }
}

/** Crops of the photographs in test/fixtures. */
async function photographs(): Promise<Images> {
  const folder = fileURLToPath(new URL('../../test/fixtures/photos', import.meta.url));
  const files = readdirSync(folder).filter((file) => file.endsWith('.jpg'));
  const crops: Float32Array[] = [];
  for (const file of files) {
    const { data, info } = await sharp(path.join(folder, file)).raw().toBuffer({ resolveWithObject: true });
    for (let place = 0; place < CROPS * CROPS; place++) {
      const left = Math.floor(((info.width - CROP) * (place % CROPS)) / (CROPS - 1));
      const top = Math.floor(((info.height - CROP) * Math.floor(place / CROPS)) / (CROPS - 1));
      crops.push(cropped(data, info.width, left, top));
    }
  }
  const images = new Float32Array(crops.length * CROP * CROP * 3);
  for (const [index, crop] of crops.entries()) images.set(crop, index * crop.length);
  return { name: `photographs (${files.join(', ')}), crops`, side: CROP, images };
}

function cropped(pixels: Uint8Array, width: number, left: number, top: number): Float32Array {
  const crop = new Float32Array(CROP * CROP * 3);
  for (let row = 0; row < CROP; row++) {
    const start = ((top + row) * width + left) * 3;
    crop.set(pixels.subarray(start, start + CROP * 3), row * CROP * 3);
  }
  return crop;
}
