/** The class that a teacher answers for each of some images, among those of the data set. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { answersFor } from '../../lib/checkpoint/labels.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { decodeRows, hasTails, type LogitsFormat } from '../../lib/distill/logits/format.ts';

export interface Answering {
  /** For messages. */
  readonly teacher: string;
  /** Of the teacher, in the order of its outputs. */
  readonly classNames: readonly string[];
  readonly dataset: Pick<Dataset, 'name' | 'classNames'>;
}

/** A class of the data set that the teacher has. */
interface SharedClass {
  /** Of the teacher's outputs. */
  readonly column: number;
  /** In the data set. */
  readonly classId: number;
}

export class AnsweredClasses {
  /** By image: a class of the data set. */
  readonly answers: Uint16Array | Uint32Array;
  readonly #columns: number;
  readonly #shared: readonly SharedClass[];

  /** @throws FAILED_PRECONDITION for a teacher of none of the data set's classes */
  constructor(images: number, { teacher, classNames, dataset }: Answering) {
    this.answers = answersFor(images, dataset.classNames.length);
    this.#columns = classNames.length;
    const idOf = new Map(dataset.classNames.map((name, id) => [name, id]));
    this.#shared = classNames.flatMap((name, column) => {
      const classId = idOf.get(name);
      return classId === undefined ? [] : [{ column, classId }];
    });
    if (this.#shared.length > 0) return;
    const message = `teacher ${teacher} has none of the classes of ${dataset.name}: it answers ${classNames.join(', ')}`;
    throw new StillhouseError('FAILED_PRECONDITION', message, { field: 'data.labelled' });
  }

  /** Whether stored rows tell the class: the largest logits alone may all be of other classes. */
  canRead(format: LogitsFormat): boolean {
    return !hasTails(format) || this.#shared.length === this.#columns;
  }

  /** @param logits [images, the teacher's classes] */
  take(images: ArrayLike<number>, logits: Float32Array): void {
    for (let row = 0; row < images.length; row++) {
      const from = row * this.#columns;
      let best = this.#shared[0] as SharedClass;
      for (const each of this.#shared) {
        if ((logits[from + each.column] as number) > (logits[from + best.column] as number)) best = each;
      }
      this.answers[images[row] as number] = best.classId;
    }
  }

  /** @param rows stored, one for each image @throws as `decodeRows` does */
  takeRows(images: ArrayLike<number>, rows: Uint8Array, format: LogitsFormat): void {
    this.take(images, decodeRows(rows, images.length, format, 'stored logits').logits);
  }
}
