/** The names of classes, where a format keeps them in a file beside the pixels or leaves them to the reader. */
import { readFile } from 'node:fs/promises';
import { StillhouseError } from '../../base/errors.ts';
import { decodeUtf8 } from '../json-document.ts';
import { refusedSource } from './source-options.ts';

export const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit));

/** https://github.com/zalandoresearch/fashion-mnist, in the order of its labels. */
export const FASHION_MNIST = [
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
];

/** More than any data set has; a file of names that is longer is none. */
const NAMES_FILE_BYTES_MAX = 2 ** 22;

/**
 * One name a line; empty lines at the end do not count.
 * @returns null when there is no such file.
 * @throws StillhouseError INVALID_ARGUMENT for what `checkNames` refuses or is not UTF-8; FAILED_PRECONDITION when it cannot be read.
 */
export async function readNames(location: string): Promise<string[] | null> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(location);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw refusedSource(location, `cannot be read: ${(cause as Error).message}`, 'let it be read', cause);
  }
  if (bytes.length > NAMES_FILE_BYTES_MAX) {
    throw refusedSource(location, `is ${bytes.length} bytes long`, 'put one class name on each line');
  }
  const lines = decodeUtf8(bytes, location).trimEnd().split('\n');
  return checkNames(
    lines.map((line) => line.trim()),
    location,
  );
}

/** @throws StillhouseError INVALID_ARGUMENT for an empty name or one that occurs twice. */
export function checkNames<T extends readonly string[]>(names: T, where: string): T {
  const wrong = names.findIndex((name, at) => name === '' || names.indexOf(name) !== at);
  if (wrong < 0) return names;
  const what = names[wrong] === '' ? 'is empty' : `"${names[wrong]}" occurs twice`;
  throw new StillhouseError('INVALID_ARGUMENT', `${where}: class name ${wrong + 1} ${what}`, {
    field: where,
    hint: 'give every class a name of its own, in the order of the labels',
  });
}
