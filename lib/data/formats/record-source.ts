/** Samples as fixed records of pixels with labels beside them: what CIFAR, IDX and SVHN have in common. */
import { invariant } from '../../base/errors.ts';
import type { SplitName } from '../manifest.ts';
import type { SampleStorage } from '../sample-source.ts';
import { damagedSample, type OpenedSource, type SourceFormat } from './source-options.ts';

/** The records of one file, or of a pair of files. */
export interface RecordPart {
  readonly split: SplitName;
  /** As they are stored, one per record. */
  readonly labels: ArrayLike<number>;
  /** The file and the offset of a record's pixels. */
  whereOf(record: number): string;
  /** The file and the offset of a record's label. */
  whereLabelOf(record: number): string;
  /** uint8 [height, width, channels]. */
  read(record: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface RecordSourceParts {
  readonly format: SourceFormat;
  /** The folder with the files. */
  readonly root: string;
  readonly classNames: readonly string[];
  readonly storage: SampleStorage & { readonly kind: 'raw' };
  /** The class that a stored label means; what is no class after all makes a bad sample. Default: the label itself. */
  readonly classOf?: (label: number) => number;
  /** What stored labels may be, e.g. `0 to 9`. */
  readonly labelsExpected?: string;
  /** Sample indices number the records of all parts in this order. */
  readonly parts: readonly RecordPart[];
}

export function recordSource(source: RecordSourceParts): OpenedSource {
  const { format, root, classNames, storage, parts, classOf = (label) => label } = source;
  const labelsExpected = source.labelsExpected ?? `0 to ${classNames.length - 1}`;
  const starts: number[] = [];
  let count = 0;
  for (const part of parts) {
    starts.push(count);
    count += part.labels.length;
  }
  const locate = (index: number) => {
    invariant(Number.isInteger(index) && index >= 0 && index < count, `sample ${index} is one of ${count}`);
    const at = starts.findLastIndex((start) => start <= index);
    const part = parts[at] as RecordPart;
    const record = index - (starts[at] as number);
    const label = part.labels[record] as number;
    const classId = classOf(label);
    return { part, record, label, classId: classId >= 0 && classId < classNames.length ? classId : null };
  };
  return {
    format,
    root,
    classNames,
    image: { height: storage.height, width: storage.width, channels: 3 },
    storage,
    count,
    ignored: new Map(),
    splitOf: (index) => locate(index).part.split,
    labelOf: (index) => locate(index).classId ?? 0,
    whereOf: (index) => {
      const { part, record } = locate(index);
      return part.whereOf(record);
    },
    read: async (index) => {
      const { part, record, label, classId } = locate(index);
      if (classId !== null) return part.read(record);
      throw damagedSample(part.whereLabelOf(record), `has the label ${label}, expected ${labelsExpected}`);
    },
    close: async () => {
      for (const part of parts) await part.close();
    },
  };
}

/** Opens parts one after the other; where one fails, those before it are closed. */
export async function openParts<Part extends RecordPart>(opening: readonly (() => Promise<Part>)[]): Promise<Part[]> {
  const parts: Part[] = [];
  try {
    for (const open of opening) parts.push(await open());
    return parts;
  } catch (error) {
    for (const part of parts) await part.close();
    throw error;
  }
}
