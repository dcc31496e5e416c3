/**
 * The official binary layout of CIFAR-10: records of one label byte and 3,072 pixel bytes, channel by channel (1,024 red,
 * 1,024 green, 1,024 blue), rows from the top, https://www.cs.toronto.edu/~kriz/cifar.html.
 */

export const CIFAR10_IMAGE = { height: 32, width: 32, channels: 3 } as const;

const PIXELS = CIFAR10_IMAGE.height * CIFAR10_IMAGE.width;

/** Values of one image. */
export const CIFAR_IMAGE_VALUES = PIXELS * CIFAR10_IMAGE.channels;

/** The label, then the pixels. */
export const CIFAR_RECORD_BYTES = 1 + CIFAR_IMAGE_VALUES;

/**
 * Decodes the pixels of one record into `target` at `targetOffset`.
 *
 * @param record [3073] bytes, label first.
 * @param target receives [32, 32, 3] values, RGB 0..255.
 */
export function decodeCifarImage(record: Uint8Array, target: Float32Array, targetOffset: number): void {
  for (let pixel = 0, to = targetOffset; pixel < PIXELS; pixel++) {
    target[to++] = record[1 + pixel] as number;
    target[to++] = record[1 + PIXELS + pixel] as number;
    target[to++] = record[1 + 2 * PIXELS + pixel] as number;
  }
}
