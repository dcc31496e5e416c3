/** Samples of a data set in someone else's format, as an import takes them: by index, in whatever order it asks. */
import type { ImageShape, SplitName } from './manifest.ts';

/** How the bytes of a sample are kept in the shards. */
export type SampleStorage =
  /** Pixels: uint8 [height, width, channels]; grey has one channel. */
  | { readonly kind: 'raw'; readonly height: number; readonly width: number; readonly channels: 1 | 3 }
  /**
   * The bytes of a JPEG, PNG or WebP file as it was, brought to the data set's image size when read. `squash`: height and width
   * each scaled by themselves. `crop`: the shorter side scaled to size / 0.875, then the centre cut out.
   */
  | { readonly kind: 'encoded'; readonly fit: 'squash' | 'crop' };

export interface SampleSource {
  /** The format it was found in, e.g. `idx`. */
  readonly format: string;
  /** Labels index this list. */
  readonly classNames: readonly string[];
  /** Of every image as the data set delivers it; always three channels. */
  readonly image: ImageShape;
  readonly storage: SampleStorage;
  /** Sample indices are 0 .. `count - 1`. */
  readonly count: number;
  splitOf(index: number): SplitName;
  /** Class of a sample: below the number of classes. Known for damaged samples too, where the format tells; else 0. */
  labelOf(index: number): number;
  /** The folder that was opened: what lies below it is the same wherever the folder is put; empty where there is none. */
  readonly root: string;
  /** The file a sample lies in and where in it, for people; a file of `root` by its whole path. */
  whereOf(index: number): string;
  /**
   * The stored bytes of a sample, as `storage` says, in a buffer that the source does not touch again.
   *
   * @throws StillhouseError DATA_LOSS naming file and offset when this sample is damaged, the others not
   */
  read(index: number): Promise<Uint8Array>;
  close(): Promise<void>;
}
