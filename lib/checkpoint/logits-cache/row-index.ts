/**
 * Which row answers which sample under which view. Millions of them: for each view a table by sample id, in pages, so that a
 * row takes four bytes; where images are mixed, rows of the same sample and view with other partners hang on each other.
 */
import { invariant } from '../../base/errors.ts';
import { NO_PARTNER, type RecordKey } from './segment-format.ts';

const PAGE_BITS = 12;
const PAGE = 2 ** PAGE_BITS;
const PAGE_MASK = PAGE - 1;

/** Whole numbers by number, as many as come. */
class NumberList {
  readonly #pages: Uint32Array[] = [];

  get(at: number): number {
    return this.#pages[at >>> PAGE_BITS]?.[at & PAGE_MASK] ?? 0;
  }

  set(at: number, value: number): void {
    const number = at >>> PAGE_BITS;
    let page = this.#pages[number];
    if (page === undefined) {
      page = new Uint32Array(PAGE);
      this.#pages[number] = page;
    }
    page[at & PAGE_MASK] = value;
  }
}

export class RowIndex {
  readonly #sampleCount: number;
  readonly #mixes: boolean;
  /** By view and sample: the last row, plus one; 0 for none. */
  readonly #heads = new Map<number, NumberList>();
  /** By row, where images are mixed: the row before it of the same sample and view, plus one. */
  readonly #before = new NumberList();
  readonly #partners = new NumberList();
  /** By view: samples that have a row. */
  readonly #samples = new Map<number, number>();
  #rows = 0;
  #rowsForgotten = 0;

  constructor(sampleCount: number, mixes: boolean) {
    this.#sampleCount = sampleCount;
    this.#mixes = mixes;
  }

  /** Rows that have been given a number. */
  get rows(): number {
    return this.#rows;
  }

  get rowsFound(): number {
    return this.#rows - this.#rowsForgotten;
  }

  /** Whether there can be such a row at all. */
  isPossible({ id, partner }: RecordKey): boolean {
    if (id >= this.#sampleCount) return false;
    return this.#mixes ? partner < this.#sampleCount : partner === NO_PARTNER;
  }

  /** The row's number; -1 when there is none. */
  find(view: number, id: number, partner: number): number {
    let row = (this.#heads.get(view)?.get(id) ?? 0) - 1;
    if (!this.#mixes) return row;
    while (row >= 0 && this.#partners.get(row) !== partner) row = this.#before.get(row) - 1;
    return row;
  }

  /** Gives a new row the next number. @param key one that is possible and not there yet */
  add({ view, id, partner }: RecordKey): number {
    invariant(this.#rows < NO_PARTNER, 'rows are numbered by 32 bits');
    const row = this.#rows++;
    let heads = this.#heads.get(view);
    if (heads === undefined) {
      heads = new NumberList();
      this.#heads.set(view, heads);
    }
    const before = heads.get(id);
    if (before === 0) this.#samples.set(view, (this.#samples.get(view) ?? 0) + 1);
    if (this.#mixes) {
      this.#before.set(row, before);
      this.#partners.set(row, partner);
    }
    heads.set(id, row + 1);
    return row;
  }

  /** The row cannot be had any more: its sample may get another one. */
  forget({ view, id, partner }: RecordKey): void {
    const row = this.find(view, id, partner);
    if (row < 0) return;
    this.#rowsForgotten += 1;
    // It stays in the chain, as the row of nobody.
    if (this.#mixes) this.#partners.set(row, NO_PARTNER);
    else {
      this.#heads.get(view)?.set(id, 0);
      this.#samples.set(view, (this.#samples.get(view) ?? 1) - 1);
    }
  }

  /** By view, ascending: how many samples have a row. */
  samplesByView(): [view: number, samples: number][] {
    return [...this.#samples].sort(([a], [b]) => a - b);
  }

  /** All rows that there are, by view and sample. */
  *keys(): Generator<RecordKey> {
    for (const [view, heads] of [...this.#heads].sort(([a], [b]) => a - b)) {
      for (let id = 0; id < this.#sampleCount; id++) {
        for (let row = heads.get(id) - 1; row >= 0; row = this.#before.get(row) - 1) {
          const partner = this.#mixes ? this.#partners.get(row) : NO_PARTNER;
          if (!this.#mixes || partner !== NO_PARTNER) yield { view, id, partner };
          if (!this.#mixes) break;
        }
      }
    }
  }
}
