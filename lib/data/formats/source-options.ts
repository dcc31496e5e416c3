/** What people may say about a data set in someone else's format, and how it is refused. */
import { StillhouseError } from '../../base/errors.ts';
import type { SampleSource } from '../sample-source.ts';

export const SOURCE_FORMATS = ['cifar10', 'cifar100', 'idx', 'svhn', 'imagefolder'] as const;
export type SourceFormat = (typeof SOURCE_FORMATS)[number];

export interface SourceOptions {
  /** Default: what the folder looks like. */
  readonly format?: SourceFormat | undefined;
  /** An existing folder for what has to be unpacked to be read by index; the source removes its files when it is closed. */
  readonly scratch: string;
  /** ImageFolder: height and width in pixels of the images as delivered. Default 224. */
  readonly size?: number | undefined;
  /** ImageFolder: see `SampleStorage`. Default `squash`. */
  readonly fit?: 'squash' | 'crop' | undefined;
  /** ImageFolder without a test folder: this share of each class is for testing, in (0, 1). Default 0.2. */
  readonly testShare?: number | undefined;
  /** ImageFolder without a test folder: which images that share is; the other formats have nothing to draw. Default 0. */
  readonly seed?: number | undefined;
  /** ImageFolder: the split that `val` belongs to. Default: train beside a `test` folder, else test. */
  readonly valAs?: 'train' | 'test' | undefined;
  /** CIFAR-100: the 20 coarse labels, not the 100 fine ones. */
  readonly coarse?: boolean | undefined;
  /** SVHN: `extra_32x32.mat` is for training too. */
  readonly extra?: boolean | undefined;
  /** IDX: class names, or those of a data set everybody knows. Default: the lines of `labels.txt` beside the files, else digits. */
  readonly classNames?: readonly string[] | 'digits' | 'fashion-mnist' | undefined;
}

/** What `openSource` answers. */
export interface OpenedSource extends SampleSource {
  /** Files that are no images by their extension, and so not looked at: how many there are of each. */
  readonly ignored: ReadonlyMap<string, number>;
}

const APPLIES: Readonly<Partial<Record<keyof SourceOptions, readonly SourceFormat[]>>> = {
  size: ['imagefolder'],
  fit: ['imagefolder'],
  testShare: ['imagefolder'],
  valAs: ['imagefolder'],
  coarse: ['cifar100'],
  extra: ['svhn'],
  classNames: ['idx'],
};

const SIZE_MAX = 4096;

/** @throws StillhouseError INVALID_ARGUMENT for an option that means nothing in this format, or nonsense. */
export function checkOptions(format: SourceFormat, options: SourceOptions): void {
  const refuse = (field: string, message: string) => {
    throw new StillhouseError('INVALID_ARGUMENT', `${field} ${message}`, { field });
  };
  for (const [field, formats] of Object.entries(APPLIES)) {
    const given = options[field as keyof SourceOptions];
    if (given !== undefined && given !== false && !formats.includes(format)) {
      refuse(field, `is for the format ${formats.join(', ')}, this is ${format}`);
    }
  }
  const { size, testShare, seed } = options;
  if (size !== undefined && !(Number.isInteger(size) && size >= 1 && size <= SIZE_MAX)) {
    refuse('size', `is ${size}, expected a whole number from 1 to ${SIZE_MAX}`);
  }
  if (testShare !== undefined && !(testShare > 0 && testShare < 1)) {
    refuse('testShare', `is ${testShare}, expected a number between 0 and 1`);
  }
  if (seed !== undefined && !(Number.isInteger(seed) && seed >= 0 && seed <= 0xffffffff)) {
    refuse('seed', `is ${seed}, expected a whole number from 0 to 2^32 - 1`);
  }
}

/** A source that cannot be read as it is: damaged as a whole, not in one sample. */
export function damagedSource(location: string, what: string, cause?: unknown): StillhouseError {
  return new StillhouseError('DATA_LOSS', `${location} ${what}`, {
    field: location,
    hint: 'fetch the file again from where it comes from',
    cause,
  });
}

/** One sample that cannot be used; the others can. */
export function damagedSample(where: string, what: string, cause?: unknown): StillhouseError {
  return new StillhouseError('DATA_LOSS', `${where} ${what}`, {
    field: where,
    hint: 'replace the file, or let the import keep going without its bad samples',
    cause,
  });
}

/** Something that the user arranges: a file that is not there, a layout that means nothing. */
export function refusedSource(location: string, what: string, hint: string, cause?: unknown): StillhouseError {
  return new StillhouseError('FAILED_PRECONDITION', `${location} ${what}`, { field: location, hint, cause });
}
