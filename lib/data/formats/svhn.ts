/**
 * Street View House Numbers, format 2 (Netzer et al. 2011), http://ufldl.stanford.edu/housenumbers: MAT-files with X, uint8
 * [32, 32, 3, images], the first dimension (rows) fastest, and y [images, 1], where 10 means the digit 0.
 */
import path from 'node:path';
import type { SplitName } from '../manifest.ts';
import { DIGITS } from './class-names.ts';
import { MatFile, STORED_UINT8 } from './mat-file.ts';
import { openParts, type RecordPart, recordSource } from './record-source.ts';
import { damagedSource, type OpenedSource, refusedSource, type SourceOptions } from './source-options.ts';

const SIDE = 32;
const PIXELS = SIDE * SIDE;
const IMAGE_BYTES = 3 * PIXELS;
/** Stands for the digit 0, which the labels do not have. */
const TEN = 10;

const TRAIN = 'train_32x32.mat';
const TEST = 'test_32x32.mat';
const EXTRA = 'extra_32x32.mat';

export function looksLikeSvhn(names: readonly string[]): boolean {
  return [TRAIN, TEST, EXTRA].some((name) => names.includes(name));
}

/** @throws StillhouseError as `openSource` does. */
export async function openSvhn(
  folder: string,
  names: readonly string[],
  options: SourceOptions,
): Promise<OpenedSource> {
  const needed: [string, SplitName][] = [
    [TRAIN, 'train'],
    ...(options.extra ? ([[EXTRA, 'train']] as [string, SplitName][]) : []),
    [TEST, 'test'],
  ];
  const absent = needed.find(([name]) => !names.includes(name));
  if (absent !== undefined) {
    throw refusedSource(folder, `lacks ${absent[0]}`, 'put the files of SVHN, format 2 (cropped digits), there');
  }
  const parts = await openParts(
    needed.map(
      ([name, split]) =>
        () =>
          openPart(path.join(folder, name), split, options.scratch),
    ),
  );
  return recordSource({
    format: 'svhn',
    root: folder,
    classNames: DIGITS,
    storage: { kind: 'raw', height: SIDE, width: SIDE, channels: 3 },
    classOf: classOfDigit,
    labelsExpected: '1 to 10',
    parts,
  });
}

async function openPart(location: string, split: SplitName, scratch: string): Promise<RecordPart> {
  const file = await MatFile.open(location);
  try {
    const images = file.array('X');
    const digits = file.array('y');
    // MATLAB drops a last dimension of 1.
    const [height, width, channels, count = 1] = images.dimensions;
    const isImages = height === SIDE && width === SIDE && channels === 3 && images.dimensions.length <= 4;
    if (!isImages || images.storedAs !== STORED_UINT8 || count === 0) {
      throw damagedSource(
        location,
        `holds X of shape [${images.dimensions}], expected bytes of shape [32,32,3,images]`,
      );
    }
    // Checked before X is unpacked: y is small.
    if (digits.count !== count) {
      throw damagedSource(location, `holds ${count} images in X, but ${digits.count} labels in y`);
    }
    const labels = await file.numbers(digits, scratch);
    const pixels = await file.openValues(images, scratch);
    const packed = images.packed === null ? '' : ', unpacked';
    return {
      split,
      labels,
      whereOf: (record) => `${location} (image ${record}, offset ${record * IMAGE_BYTES} of X${packed})`,
      whereLabelOf: (record) => `${location} (label ${record} of y)`,
      read: async (record) => upright(await pixels.read(record * IMAGE_BYTES, IMAGE_BYTES)),
      close: async () => {
        await pixels.close();
        await file.close();
      },
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function classOfDigit(digit: number): number {
  if (digit === TEN) return 0;
  return Number.isInteger(digit) && digit >= 1 && digit < TEN ? digit : -1;
}

/** [channel, column, row] → [row, column, channel]. */
function upright(stored: Uint8Array): Uint8Array {
  const pixels = new Uint8Array(IMAGE_BYTES);
  let to = 0;
  for (let row = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      for (let channel = 0; channel < 3; channel++) {
        pixels[to++] = stored[channel * PIXELS + column * SIDE + row] as number;
      }
    }
  }
  return pixels;
}
