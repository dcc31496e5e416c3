/** Small data sets in the formats of others, for imports. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { createRandom } from '../../lib/base/random.ts';

/** An IDX file of unsigned bytes. */
export function idxFile(dimensions: readonly number[], values: Uint8Array): Buffer {
  const header = Buffer.alloc(4 + 4 * dimensions.length);
  header.writeUInt8(8, 2);
  header.writeUInt8(dimensions.length, 3);
  for (const [index, dimension] of dimensions.entries()) header.writeUInt32BE(dimension, 4 + 4 * index);
  return Buffer.concat([header, values]);
}

export interface IdxFolder {
  /** Pixels of every image, [side, side], by split. */
  readonly images: Readonly<Record<'train' | 'test', readonly Uint8Array[]>>;
  readonly labels: Readonly<Record<'train' | 'test', Uint8Array>>;
}

/** Random grey digits; the classes take turns. */
export async function writeIdxFolder(
  folder: string,
  { seed, side, train, test }: { seed: number; side: number; train: number; test: number },
): Promise<IdxFolder> {
  const random = createRandom(seed);
  await mkdir(folder, { recursive: true });
  const write = async (name: string, count: number) => {
    const pixels = Uint8Array.from({ length: count * side * side }, () => random.nextInt(256));
    const labels = Uint8Array.from({ length: count }, (_, index) => index % 10);
    await writeFile(path.join(folder, `${name}-images-idx3-ubyte`), idxFile([count, side, side], pixels));
    await writeFile(path.join(folder, `${name}-labels-idx1-ubyte`), idxFile([count], labels));
    const images = Array.from({ length: count }, (_, index) =>
      pixels.slice(index * side * side, (index + 1) * side * side),
    );
    return { images, labels };
  };
  const [first, second] = [await write('train', train), await write('t10k', test)];
  return {
    images: { train: first.images, test: second.images },
    labels: { train: first.labels, test: second.labels },
  };
}

/** A folder per class of JPEGs, each of its class's colour with noise. @returns the files, sorted by class */
export async function writePictures(
  folder: string,
  { seed, classes, perClass, side }: { seed: number; classes: readonly string[]; perClass: number; side: number },
): Promise<string[]> {
  const random = createRandom(seed);
  const files: string[] = [];
  for (const [label, name] of classes.entries()) {
    await mkdir(path.join(folder, name), { recursive: true });
    for (let index = 0; index < perClass; index++) {
      const colour = [0, 1, 2].map((channel) => (channel === label % 3 ? 200 : 40) + random.nextInt(40));
      const pixels = Uint8Array.from(
        { length: side * side * 3 },
        (_, at) => (colour[at % 3] as number) + random.nextInt(12),
      );
      const file = path.join(folder, name, `${String(index).padStart(4, '0')}.jpg`);
      await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
        .jpeg({ quality: 90 })
        .toFile(file);
      files.push(file);
    }
  }
  return files;
}
