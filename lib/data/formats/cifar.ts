/**
 * The official binary layouts of CIFAR-10 and CIFAR-100, https://www.cs.toronto.edu/~kriz/cifar.html: records of one label byte,
 * or a coarse and a fine one, and 3,072 pixel bytes, channel by channel, rows from the top.
 */
import path from 'node:path';
import type { SplitName } from '../manifest.ts';
import { readNames } from './class-names.ts';
import { openParts, type RecordPart, recordSource } from './record-source.ts';
import { SourceFile } from './source-file.ts';
import { damagedSource, type OpenedSource, refusedSource, type SourceOptions } from './source-options.ts';

const SIDE = 32;
const PIXELS = SIDE * SIDE;
const IMAGE_BYTES = 3 * PIXELS;

/** Records per read while labels are scanned. */
const SCAN_RECORDS = 1024;

const CIFAR10_BATCHES = [1, 2, 3, 4, 5].map((number) => `data_batch_${number}.bin`);
const CIFAR10_CLASSES = 'airplane automobile bird cat deer dog frog horse ship truck'.split(' ');

interface Layout {
  readonly format: 'cifar10' | 'cifar100';
  /** Before the pixels of each record. */
  readonly labelBytes: number;
  /** Which of them is the label. */
  readonly labelAt: number;
}

/** Whether the files of a folder look like the format. */
export function looksLikeCifar(format: 'cifar10' | 'cifar100', names: readonly string[]): boolean {
  if (format === 'cifar10') return [...CIFAR10_BATCHES, 'test_batch.bin'].some((name) => names.includes(name));
  return names.includes('train.bin') && names.includes('test.bin');
}

/** @throws StillhouseError as `openSource` does. */
export async function openCifar10(folder: string, names: readonly string[]): Promise<OpenedSource> {
  const layout: Layout = { format: 'cifar10', labelBytes: 1, labelAt: 0 };
  // The official names are known, the file that holds them is often left behind.
  const given = await readNames(path.join(folder, 'batches.meta.txt'));
  return openCifar(folder, names, layout, given ?? CIFAR10_CLASSES, CIFAR10_BATCHES, 'test_batch.bin');
}

/** @throws StillhouseError as `openSource` does. */
export async function openCifar100(
  folder: string,
  names: readonly string[],
  options: SourceOptions,
): Promise<OpenedSource> {
  const labelAt = options.coarse ? 0 : 1;
  const layout: Layout = { format: 'cifar100', labelBytes: 2, labelAt };
  const namesFile = options.coarse ? 'coarse_label_names.txt' : 'fine_label_names.txt';
  const classNames = await readNames(path.join(folder, namesFile));
  if (classNames === null) throw missing(folder, namesFile, 'CIFAR-100');
  return openCifar(folder, names, layout, classNames, ['train.bin'], 'test.bin');
}

async function openCifar(
  folder: string,
  names: readonly string[],
  layout: Layout,
  classNames: readonly string[],
  trainFiles: readonly string[],
  testFile: string,
): Promise<OpenedSource> {
  const absent = [...trainFiles, testFile].find((name) => !names.includes(name));
  if (absent !== undefined) throw missing(folder, absent, layout.format === 'cifar10' ? 'CIFAR-10' : 'CIFAR-100');
  const parts = await openParts([
    ...trainFiles.map((name) => () => openPart(path.join(folder, name), 'train', layout)),
    () => openPart(path.join(folder, testFile), 'test', layout),
  ]);
  return recordSource({
    format: layout.format,
    root: folder,
    classNames,
    storage: { kind: 'raw', height: SIDE, width: SIDE, channels: 3 },
    parts,
  });
}

async function openPart(location: string, split: SplitName, layout: Layout): Promise<RecordPart> {
  const file = await SourceFile.open(location);
  try {
    const recordBytes = layout.labelBytes + IMAGE_BYTES;
    const records = file.bytes / recordBytes;
    if (!Number.isInteger(records) || records === 0) {
      const last = Math.floor(records) * recordBytes;
      throw damagedSource(
        location,
        `is ${file.bytes} bytes long, expected a multiple of ${recordBytes}: the record at offset ${last} is cut off or followed by something else`,
      );
    }
    const labels = await readLabels(file, records, recordBytes, layout.labelAt);
    return {
      split,
      labels,
      whereOf: (record) => `${location} (record ${record}, offset ${record * recordBytes})`,
      whereLabelOf: (record) => `${location} (record ${record}, offset ${record * recordBytes + layout.labelAt})`,
      read: async (record) => interleaved(await file.read(record * recordBytes + layout.labelBytes, IMAGE_BYTES)),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readLabels(file: SourceFile, records: number, recordBytes: number, at: number): Promise<Uint8Array> {
  const labels = new Uint8Array(records);
  for (let first = 0; first < records; first += SCAN_RECORDS) {
    const count = Math.min(SCAN_RECORDS, records - first);
    const chunk = await file.read(first * recordBytes, count * recordBytes);
    for (let index = 0; index < count; index++) labels[first + index] = chunk[index * recordBytes + at] as number;
  }
  return labels;
}

/** [3, pixels] → [pixels, 3]. */
function interleaved(planes: Uint8Array): Uint8Array {
  const pixels = new Uint8Array(IMAGE_BYTES);
  for (let pixel = 0, to = 0; pixel < PIXELS; pixel++) {
    pixels[to++] = planes[pixel] as number;
    pixels[to++] = planes[PIXELS + pixel] as number;
    pixels[to++] = planes[2 * PIXELS + pixel] as number;
  }
  return pixels;
}

function missing(folder: string, name: string, dataset: string): Error {
  return refusedSource(folder, `lacks ${name}`, `unpack the binary version of ${dataset} there as it comes`);
}
