/** In which record of which segment rows lie, for those that memory does not hold: as runs of records that follow each other. */
import { invariant } from '../../base/errors.ts';

export interface RowPlace {
  readonly segment: number;
  readonly record: number;
}

interface Run extends RowPlace {
  readonly firstRow: number;
}

export class RowPlaces {
  readonly #runs: Run[] = [];
  /** The record that would make the last run longer. */
  #next = -1;

  /** @param row the one after the row before */
  add(row: number, { segment, record }: RowPlace): void {
    if (this.#runs.at(-1)?.segment !== segment || this.#next !== record) {
      this.#runs.push({ firstRow: row, segment, record });
    }
    this.#next = record + 1;
  }

  /** @param row one that was added */
  of(row: number): RowPlace {
    let low = 0;
    let high = this.#runs.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[middle] as Run).firstRow <= row) low = middle;
      else high = middle;
    }
    const run = this.#runs[low];
    invariant(run !== undefined && run.firstRow <= row, 'the row lies somewhere');
    return { segment: run.segment, record: run.record + row - run.firstRow };
  }
}
