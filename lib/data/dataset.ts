/** What the rest of the system sees of a data set: labels in memory, images by sample id, whatever they lie in. */
import type { ImageShape, SplitName } from './manifest.ts';
import type { View } from './views.ts';

/** Class of every sample, by id. */
export type LabelArray = Uint8Array | Uint16Array;

/** The sample ids of one shard: `firstId` .. `firstId + records - 1`. */
export interface ShardRange {
  readonly firstId: number;
  readonly records: number;
}

/** A sample that cannot be used, found when its data set was imported. */
export interface BadSample {
  readonly id: number;
  /** The file it came from, by its path in the folder that was imported, and where in it. */
  readonly source: string;
  /** What is wrong with it. */
  readonly reason: string;
}

/** Mean and standard deviation per channel, of pixels as 0..1. */
export interface ChannelStatistics {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export interface Dataset {
  /** What people call it. */
  readonly name: string;
  /** Names the content: equal digests mean equal pixels and labels under every sample id. */
  readonly digest: string;
  readonly classNames: readonly string[];
  /** Of every image that `load` answers; always three channels. */
  readonly image: ImageShape;
  /** Sample ids are 0 .. `sampleCount - 1`. */
  readonly sampleCount: number;
  readonly labels: LabelArray;
  /** Ascending; together all sample ids. */
  readonly shards: readonly ShardRange[];
  /** Ascending by id; never among the ids of a split. */
  readonly badSamples: readonly BadSample[];
  /** Training samples of another domain, whose labels are known, ascending; empty where there is only one domain. */
  readonly sourceIds: Uint32Array;
  /** What samples were made from, where nobody has photographed or written them; else null. To be said wherever the data is shown. */
  readonly synthetic: string | null;
  /** Over all training images, where the import has computed it. */
  readonly statistics: ChannelStatistics | null;
  /** The ids of a split, ascending, without those of `sourceIds`. */
  idsOf(split: SplitName): Uint32Array;
  /**
   * Images of the samples, in the order asked for: [ids, height, width, 3], RGB 0..255, in a buffer of their own.
   *
   * @param view what augmentation makes of them; absent: the images as they are
   * @throws StillhouseError INVALID_ARGUMENT for an id that the data set lacks; DATA_LOSS, naming shard and offset, when what
   *   is stored is damaged; UNAVAILABLE when it cannot be fetched
   */
  load(ids: ArrayLike<number>, view?: View): Promise<Float32Array>;
  /** What these samples lie in is brought near, since they will be asked for in a while. Nobody waits for it, or is told when it fails. */
  prefetch(ids: ArrayLike<number>): void;
  /** No image can be loaded afterwards. */
  close(): Promise<void>;
}
