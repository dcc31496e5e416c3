/** Data sets whose records can be read together with those of others, so that images of several are made in one place. */
import type { Dataset } from './dataset.ts';
import type { ImageShape } from './manifest.ts';
import type { ReadRequest, RecordPlaces, SampleFile } from './read-request.ts';
import type { View } from './views.ts';

/** Where the records of some samples lie on this machine. */
export interface LentRecords {
  readonly files: readonly SampleFile[];
  /** The file of each sample, an index in `files`: [samples]. */
  readonly fileOf: Uint32Array;
  /** The record of each sample in its file: [samples]. */
  readonly recordOf: Uint32Array;
}

/** Makes images of records, of this data set or another. */
export interface RecordReader {
  /** @throws as `Dataset.load` does */
  read(request: ReadRequest): Promise<Float32Array>;
}

/** Answers what `use` answers; the files stay on this machine until then. */
export type Lend = <T>(ids: ArrayLike<number>, use: (records: LentRecords) => Promise<T>) => Promise<T>;

export interface RecordDataset extends Dataset, RecordReader {
  /** @throws as `load` does, and what `use` throws */
  readonly lend: Lend;
}

export interface LoadRequest {
  readonly ids: ArrayLike<number>;
  readonly view: View | undefined;
  readonly image: ImageShape;
  readonly reader: RecordReader;
}

/** Loads images, see `Dataset.load`, from records that are lent: those of the samples and of their partners. */
export async function loadLent({ ids, view, image, reader }: LoadRequest, lend: Lend): Promise<Float32Array> {
  const partners = view?.partners ?? [];
  const all = partners.length === 0 ? ids : [...Array.from(ids), ...Array.from(partners)];
  return await lend(all, async ({ files, fileOf, recordOf }) => {
    if (ids.length === 0) return new Float32Array(0);
    const own = Uint32Array.from(all);
    const placesOf = (from: number, to: number): RecordPlaces => ({
      ids: own.subarray(from, to),
      files: fileOf.subarray(from, to),
      records: recordOf.subarray(from, to),
    });
    return await reader.read({
      image,
      files,
      samples: placesOf(0, ids.length),
      view:
        view === undefined ? null : { rule: view.rule, partners: view.partners && placesOf(ids.length, all.length) },
    });
  });
}
