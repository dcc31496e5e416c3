/** What is asked of whoever reads records and makes images of them, in this thread or in another. */
import type { ThreadFailure } from '../base/thread-failure.ts';
import type { ImageShape } from './manifest.ts';
import type { SampleStorage } from './sample-source.ts';
import type { ViewRule } from './views.ts';

/** How a file of samples is laid out: the official binary layout of CIFAR-10, or a shard. */
export type RecordLayout = { readonly kind: 'cifar10' } | SampleStorage;

/** A file of samples. */
export interface RecordFile {
  /** For people and for errors: its path, or its URL. */
  readonly location: string;
  readonly records: number;
  readonly bytes: number;
}

/** One whose records can be made images of. */
export interface SampleFile extends RecordFile {
  readonly layout: RecordLayout;
  /** Open while it is asked for: threads of a process share the numbers of open files, whatever becomes of names. */
  readonly fd: number;
  /** Where records begin, and the last one ends, in memory that threads share; null where all have the same size. */
  readonly offsets: Uint32Array | null;
}

/** Samples and where they lie. */
export interface RecordPlaces {
  /** By which views are drawn: [samples]. */
  readonly ids: Uint32Array;
  /** The file of each sample, an index in the request's files: [samples]. */
  readonly files: Uint32Array;
  /** The record of each sample in its file: [samples]. */
  readonly records: Uint32Array;
}

export interface ReadRequest {
  /** Of the images that are answered, whatever the size of what is stored. */
  readonly image: ImageShape;
  /** They may be of several data sets. */
  readonly files: readonly SampleFile[];
  readonly samples: RecordPlaces;
  /** What augmentation makes of the images; null: nothing. */
  readonly view: { readonly rule: ViewRule; readonly partners: RecordPlaces | null } | null;
}

/** What a thread is asked. */
export interface ThreadRequest {
  readonly number: number;
  readonly request: ReadRequest;
  /** Memory that the thread may write the images to. */
  readonly room: Float32Array<ArrayBuffer> | undefined;
}

/** What a thread answers: images, or why there are none. */
export interface ThreadReply {
  readonly number: number;
  readonly images?: Float32Array;
  readonly failure?: ThreadFailure;
}
