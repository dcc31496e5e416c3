/**
 * Synthetic MNIST-M: digits over crops of colour photographs, as Ganin et al. made MNIST-M (2016, arXiv:1505.07818, section
 * 5.2.2): per channel the absolute difference of the two, |digit - photograph|. Their photographs were those of BSDS500.
 */
import { invariant, StillhouseError } from '../../lib/base/errors.ts';
import { createRandom, hashName } from '../../lib/base/random.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import type { SplitName } from '../../lib/data/manifest.ts';
import type { SampleSource } from '../../lib/data/sample-source.ts';

/** For the manifest. */
export const MADE_FROM =
  'synthetic MNIST-M: digits of MNIST over random crops of CIFAR-10, |digit - photograph| (after Ganin et al. 2016)';

export interface BlendOptions {
  /** Grey images; closed with the result. */
  readonly digits: SampleSource;
  /** Photographs at least as large; each split's digits lie over photographs of that split. It stays open. */
  readonly photos: Dataset;
  /** Decides on the photograph and the crop of every digit. */
  readonly seed: number;
}

/** @throws INVALID_ARGUMENT when the digits are not grey, or do not fit into the photographs */
export function blendDigits({ digits, photos, seed }: BlendOptions): SampleSource {
  const { storage } = digits;
  if (storage.kind !== 'raw' || storage.channels !== 1) throw refusal('the digits are not grey pixels');
  const { height, width } = storage;
  const room = { down: photos.image.height - height, right: photos.image.width - width };
  if (room.down < 0 || room.right < 0) throw refusal(`no ${height}x${width} crop fits into the photographs`);
  const pools: Record<SplitName, Uint32Array> = { train: photos.idsOf('train'), test: photos.idsOf('test') };
  const choose = (index: number) => {
    const random = createRandom(seed, hashName('blended digits'), index);
    const pool = pools[digits.splitOf(index)];
    invariant(pool.length > 0, 'there are photographs of the split');
    const photo = pool[random.nextInt(pool.length)] as number;
    return { photo, top: random.nextInt(room.down + 1), left: random.nextInt(room.right + 1) };
  };
  return {
    ...{ format: `${digits.format}-blended`, root: digits.root, classNames: digits.classNames },
    count: digits.count,
    image: { height, width, channels: 3 },
    storage: { kind: 'raw', height, width, channels: 3 },
    splitOf: (index) => digits.splitOf(index),
    labelOf: (index) => digits.labelOf(index),
    whereOf: (index) => `${digits.whereOf(index)} over image ${choose(index).photo} of ${photos.name}`,
    read: async (index) => {
      const { photo, top, left } = choose(index);
      const [grey, pixels] = await Promise.all([digits.read(index), photos.load([photo])]);
      const blended = new Uint8Array(3 * height * width);
      for (let row = 0; row < height; row++) {
        for (let column = 0; column < width; column++) {
          const digit = grey[row * width + column] as number;
          const from = 3 * ((top + row) * photos.image.width + left + column);
          const to = 3 * (row * width + column);
          for (let channel = 0; channel < 3; channel++) {
            blended[to + channel] = Math.abs(digit - (pixels[from + channel] as number));
          }
        }
      }
      return blended;
    },
    close: () => digits.close(),
  };
}

function refusal(problem: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `synthetic MNIST-M cannot be made: ${problem}`);
}
