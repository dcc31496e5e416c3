/**
 * IDX, the layout of MNIST (LeCun, Cortes and Burges, "The MNIST database"): magic number 0 0 type rank, the dimensions as
 * big-endian 32-bit numbers, the values, the last dimension fastest. Plain, or as a whole in gzip.
 */
import path from 'node:path';
import { StillhouseError } from '../../base/errors.ts';
import type { SplitName } from '../manifest.ts';
import { checkNames, DIGITS, FASHION_MNIST, readNames } from './class-names.ts';
import { canUnpackTo, inflateHead, inflateToFile, type PackedRange } from './inflate.ts';
import { openParts, type RecordPart, recordSource } from './record-source.ts';
import { SourceFile } from './source-file.ts';
import { damagedSource, type OpenedSource, refusedSource, type SourceOptions } from './source-options.ts';

const UNSIGNED_BYTE = 0x08;
const RANK_MAX = 4;
const HEADER_BYTES_MAX = 4 + 4 * RANK_MAX;
/** Of one image. */
const IMAGE_BYTES_MAX = 2 ** 26;
/** In one file: its labels are held in memory. */
const IMAGES_MAX = 2 ** 25;

const FILE_NAME = /^(.*?)(train|t10k|test)-(images|labels)[-.]idx(\d)-ubyte(\.gz)?$/;

/** Paths of a data set's four files; `.gz` ones are packed. */
interface IdxFiles {
  readonly train: { readonly images: string; readonly labels: string };
  readonly test: { readonly images: string; readonly labels: string };
}

interface IdxPart extends RecordPart {
  /** Height, width, channels. */
  readonly image: readonly [number, number, 1 | 3];
}

interface IdxHeader {
  readonly dimensions: readonly number[];
  /** Of the header; the values follow. */
  readonly bytes: number;
}

export function looksLikeIdx(names: readonly string[]): boolean {
  return names.some((name) => FILE_NAME.test(name));
}

/** @throws StillhouseError as `openSource` does. */
export async function openIdx(folder: string, names: readonly string[], options: SourceOptions): Promise<OpenedSource> {
  const files = findFiles(folder, names);
  const classNames = await namesOf(folder, options);
  const parts = await openParts<IdxPart>(
    (['train', 'test'] as const).map((split) => () => openPart(files[split], split, options.scratch)),
  );
  const [train, test] = parts as [IdxPart, IdxPart];
  const [height, width, channels] = train.image;
  if (`${train.image}` !== `${test.image}`) {
    for (const part of parts) await part.close();
    throw damagedSource(files.test.images, `holds images [${test.image}], but ${files.train.images} [${train.image}]`);
  }
  return recordSource({
    format: 'idx',
    root: folder,
    classNames,
    storage: { kind: 'raw', height, width, channels },
    parts,
  });
}

function findFiles(folder: string, names: readonly string[]): IdxFiles {
  const found = new Map<string, string>();
  const families = new Set<string>();
  for (const name of names) {
    const match = FILE_NAME.exec(name);
    if (match === null) continue;
    const [, family = '', part, kind, , packed] = match;
    families.add(family);
    const key = `${part === 'train' ? 'train' : 'test'} ${kind}`;
    // Beside the unpacked file the packed one is only where it came from.
    if (!found.has(key) || packed === undefined) found.set(key, path.join(folder, name));
  }
  if (families.size > 1) {
    throw refusedSource(
      folder,
      `holds several data sets: files that begin with ${[...families].map((family) => `"${family}"`).join(', ')}`,
      'put the four files of one data set into a folder of their own',
    );
  }
  const need = (split: SplitName, kind: string) => {
    const location = found.get(`${split} ${kind}`);
    if (location !== undefined) return location;
    const name = `${split === 'train' ? 'train' : 't10k'}-${kind}-idx${kind === 'images' ? 3 : 1}-ubyte`;
    throw refusedSource(folder, `lacks ${name} or ${name}.gz`, 'put all four files of the data set there');
  };
  const pair = (split: SplitName) => ({ images: need(split, 'images'), labels: need(split, 'labels') });
  return { train: pair('train'), test: pair('test') };
}

async function namesOf(folder: string, { classNames }: SourceOptions): Promise<readonly string[]> {
  if (classNames === 'digits') return DIGITS;
  if (classNames === 'fashion-mnist') return FASHION_MNIST;
  if (classNames !== undefined) return checkNames(classNames, 'classNames');
  return (await readNames(path.join(folder, 'labels.txt'))) ?? DIGITS;
}

async function openPart(paths: IdxFiles['train'], split: SplitName, scratch: string): Promise<IdxPart> {
  // Both headers first: no more is unpacked of either file than fits the other one.
  const [imagesHeader, labelsHeader] = [await readHeader(paths.images), await readHeader(paths.labels)];
  checkImages(paths.images, imagesHeader.dimensions);
  checkLabels(paths, labelsHeader.dimensions, imagesHeader.dimensions[0] as number);
  const labels = await readLabels(paths.labels, labelsHeader, scratch);
  const images = await openContent(paths.images, imagesHeader, scratch);
  const [, height, width, channels = 1] = imagesHeader.dimensions as [number, number, number, (1 | 3)?];
  const recordBytes = height * width * channels;
  const offsetOf = (record: number) => imagesHeader.bytes + record * recordBytes;
  return {
    image: [height, width, channels],
    split,
    labels,
    whereOf: (record) => `${paths.images} (image ${record}, offset ${offsetOf(record)})`,
    whereLabelOf: (record) => `${paths.labels} (label ${record}, offset ${labelsHeader.bytes + record})`,
    read: (record) => images.read(offsetOf(record), recordBytes),
    close: () => images.close(),
  };
}

function checkImages(location: string, dimensions: readonly number[]): void {
  const [count = 0, height = 0, width = 0, channels = 1] = dimensions;
  const shape = `[${dimensions}]`;
  const isImages = dimensions.length === 3 || (dimensions.length === 4 && (channels === 1 || channels === 3));
  if (!isImages || height === 0 || width === 0) {
    throw damagedSource(
      location,
      `has the shape ${shape} at offset 4, expected [images, height, width] or [images, height, width, 1 or 3]`,
    );
  }
  if (height * width * channels > IMAGE_BYTES_MAX) {
    throw damagedSource(location, `has the shape ${shape} at offset 4: images of more than ${IMAGE_BYTES_MAX} bytes`);
  }
  if (count === 0 || count > IMAGES_MAX) {
    throw damagedSource(location, `announces ${count} images at offset 4, expected 1 to ${IMAGES_MAX}`);
  }
}

function checkLabels(paths: IdxFiles['train'], dimensions: readonly number[], images: number): void {
  const location = paths.labels;
  if (dimensions.length !== 1) {
    throw damagedSource(location, `has ${dimensions.length} dimensions at offset 3, expected 1: a list of labels`);
  }
  if (dimensions[0] === images) return;
  throw damagedSource(
    paths.images,
    `announces ${images} images at offset 4, but ${location} ${dimensions[0]} labels; expected the same number`,
  );
}

async function readLabels(location: string, header: IdxHeader, scratch: string): Promise<Uint8Array> {
  const file = await openContent(location, header, scratch);
  try {
    return await file.read(header.bytes, header.dimensions[0] as number);
  } finally {
    await file.close();
  }
}

async function readHeader(location: string): Promise<IdxHeader> {
  const file = await SourceFile.open(location);
  try {
    const packed = packedRange(location, file);
    const head =
      packed === null
        ? await file.read(0, Math.min(HEADER_BYTES_MAX, file.bytes))
        : await inflateHead(packed, HEADER_BYTES_MAX);
    return parseHeader(head, location);
  } finally {
    await file.close();
  }
}

/** Opens a file whose header and length agree; packed ones are unpacked. */
async function openContent(location: string, { dimensions, bytes }: IdxHeader, scratch: string): Promise<SourceFile> {
  const file = await SourceFile.open(location);
  let keep = false;
  try {
    const packed = packedRange(location, file);
    const length = dimensions.reduce((product, dimension) => product * dimension, 1) + bytes;
    if (packed !== null) {
      if (canUnpackTo(packed.length, length)) return await inflateToFile(packed, length, scratch);
      throw damagedSource(
        location,
        `announces [${dimensions}] at offset 4: more than its ${file.bytes} bytes can hold`,
      );
    }
    if (file.bytes !== length) {
      throw damagedSource(
        location,
        `is ${file.bytes} bytes long, but announces [${dimensions}] at offset 4: expected ${length} bytes`,
      );
    }
    keep = true;
    return file;
  } finally {
    if (!keep) await file.close();
  }
}

function packedRange(location: string, { bytes }: SourceFile): PackedRange | null {
  return location.endsWith('.gz') ? { location, packing: 'gzip', offset: 0, length: bytes } : null;
}

function parseHeader(head: Uint8Array, location: string): IdxHeader {
  const rank = head[3] ?? 0;
  const bytes = 4 + 4 * rank;
  if (head.length < 4 || head[0] !== 0 || head[1] !== 0) {
    throw damagedSource(location, 'does not begin with the magic number of IDX, two zero bytes');
  }
  if (head[2] !== UNSIGNED_BYTE) {
    throw new StillhouseError(
      'INVALID_ARGUMENT',
      `${location} holds values of type 0x${(head[2] as number).toString(16)} (offset 2), expected 0x8: unsigned bytes`,
      { field: location, hint: 'write pixels and labels as unsigned bytes' },
    );
  }
  if (rank < 1 || rank > RANK_MAX || head.length < bytes) {
    throw damagedSource(
      location,
      `announces ${rank} dimensions at offset 3, expected 1 to ${RANK_MAX} and their sizes`,
    );
  }
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return { dimensions: Array.from({ length: rank }, (_, at) => view.getUint32(4 + 4 * at)), bytes };
}
