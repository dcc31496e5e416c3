/** A teacher's answers to views that come again, kept in memory as far as it reaches. */

/** Samples under one view, each with the sample that it is mixed with where images are mixed. */
export interface ViewedBatch {
  /** See `viewNumber`. */
  readonly view: number;
  readonly ids: readonly number[];
  readonly partners: readonly number[] | null;
}

export interface AnswerCacheOptions {
  /** Of the teacher's outputs. */
  readonly classes: number;
  /** Of the data set. */
  readonly samples: number;
  /** What the answers may take; default 1 GiB. */
  readonly bytesMax?: number;
}

const BYTES_MAX = 2 ** 30;
/** What an entry of a map takes, roughly. */
const ENTRY_BYTES = 64;
/** Rows are kept in blocks: an array for each would take more than what is in it. */
const BLOCK_ROWS = 4096;

/** Once it is full it keeps what it has: views come in turn, and what is dropped for another one is missed soonest. */
export class AnswerCache {
  readonly #classes: number;
  readonly #samples: number;
  readonly #rowsMax: number;
  /** By view and then by samples, the number of the row. */
  readonly #rows = new Map<number, Map<number, number>>();
  readonly #blocks: Float32Array[] = [];
  #count = 0;

  constructor({ classes, samples, bytesMax = BYTES_MAX }: AnswerCacheOptions) {
    this.#classes = classes;
    this.#samples = samples;
    this.#rowsMax = Math.floor(bytesMax / (ENTRY_BYTES + Float32Array.BYTES_PER_ELEMENT * classes));
  }

  /** [ids, classes]; null unless all of them are kept. */
  get({ view, ids, partners }: ViewedBatch): Float32Array | null {
    const known = this.#rows.get(view);
    if (known === undefined) return null;
    const classes = this.#classes;
    const logits = new Float32Array(ids.length * classes);
    for (const [index, id] of ids.entries()) {
      const row = known.get(this.#key(id, partners?.[index]));
      if (row === undefined) return null;
      const at = (row % BLOCK_ROWS) * classes;
      const block = this.#blocks[Math.floor(row / BLOCK_ROWS)] as Float32Array;
      logits.set(block.subarray(at, at + classes), index * classes);
    }
    return logits;
  }

  /** @param logits [ids, classes] */
  keep({ view, ids, partners }: ViewedBatch, logits: Float32Array): void {
    const known = this.#rows.get(view) ?? new Map<number, number>();
    this.#rows.set(view, known);
    const classes = this.#classes;
    for (const [index, id] of ids.entries()) {
      const key = this.#key(id, partners?.[index]);
      if (known.has(key)) continue;
      if (this.#count >= this.#rowsMax) return;
      const row = this.#count++;
      if (row % BLOCK_ROWS === 0) {
        this.#blocks.push(new Float32Array(Math.min(BLOCK_ROWS, this.#rowsMax - row) * classes));
      }
      const block = this.#blocks.at(-1) as Float32Array;
      block.set(logits.subarray(index * classes, (index + 1) * classes), (row % BLOCK_ROWS) * classes);
      known.set(key, row);
    }
  }

  /** Whole numbers stay exact for up to 94 million samples. A job's batches either all have partners or none. */
  #key(id: number, partner: number | undefined): number {
    return partner === undefined ? id : id * this.#samples + partner;
  }
}
