/** A folder of photographs to read: CIFAR-10's pictures at the size of ImageNet's, with a texture that makes files as large as theirs. */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { createRandom } from '../../lib/base/random.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { openSource } from '../../lib/data/formats/open-source.ts';
import { importDataset } from '../../lib/data/import-dataset.ts';

export const PICTURES = 2000;
const WIDTH = 500;
const HEIGHT = 375;
const QUALITY = 90;
/** Of the texture, in steps of 0..255: fine grain, and patches of 4x4 pixels. */
const GRAIN = 24;
const PATCHES = 32;

/** The folder `train/<class>/<id>.jpg` below the one given; made once. */
export async function pictureFolder(cache: string, cifar: Dataset): Promise<string> {
  const folder = path.join(cache, `pictures-${PICTURES}`);
  if (existsSync(folder)) return folder;
  const staging = `${folder}.partial`;
  await rm(staging, { recursive: true, force: true });
  for (const name of cifar.classNames) await mkdir(path.join(staging, 'train', name), { recursive: true });
  for (let id = 0; id < PICTURES; id++) {
    const pixels = await enlarged(await cifar.load([id]), id);
    const file = path.join(staging, 'train', cifar.classNames[cifar.labels[id] as number] as string, `${id}.jpg`);
    await sharp(pixels, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } })
      .jpeg({ quality: QUALITY })
      .toFile(file);
  }
  await rename(staging, folder);
  return folder;
}

async function enlarged(image: Float32Array, id: number): Promise<Uint8Array> {
  const small = Uint8Array.from(image);
  const pixels = await sharp(small, { raw: { width: 32, height: 32, channels: 3 } })
    .resize(WIDTH, HEIGHT, { fit: 'fill', kernel: 'cubic' })
    .raw()
    .toBuffer();
  const random = createRandom(id);
  const grain = Uint8Array.from({ length: WIDTH * HEIGHT }, () => random.nextInt(256));
  for (let row = 0; row < HEIGHT; row++) {
    for (let column = 0; column < WIDTH; column++) {
      const fine = ((grain[row * WIDTH + column] as number) / 255 - 0.5) * GRAIN;
      const patch = ((grain[(row >> 2) * WIDTH + (column >> 2)] as number) / 255 - 0.5) * PATCHES;
      const at = (row * WIDTH + column) * 3;
      for (let value = at; value < at + 3; value++) {
        pixels[value] = Math.max(0, Math.min(255, (pixels[value] as number) + fine + patch));
      }
    }
  }
  return pixels;
}

/** The same pictures as a data set of ours, in a folder beside them. @returns its name */
export async function importPictures(folder: string): Promise<string> {
  const name = `${path.basename(folder)}-imported`;
  const target = path.join(path.dirname(folder), name);
  if (existsSync(target)) return name;
  const source = await openSource(folder, { scratch: path.dirname(folder), size: 224 });
  try {
    await importDataset(source, target, { name, seed: 1 });
  } finally {
    await source.close();
  }
  return name;
}
