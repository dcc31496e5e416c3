/** Rows that were kept and are in no file yet. */
import type { RecordKey } from './segment-format.ts';

export class PendingRows {
  readonly #rows = new Map<string, Uint8Array>();

  /** Undefined when there is none. */
  get(key: RecordKey): Uint8Array | undefined {
    return this.#rows.size === 0 ? undefined : this.#rows.get(nameOf(key));
  }

  has(key: RecordKey): boolean {
    return this.get(key) !== undefined;
  }

  /** @param row is copied */
  set(key: RecordKey, row: Uint8Array): void {
    this.#rows.set(nameOf(key), new Uint8Array(row));
  }

  delete(key: RecordKey): void {
    this.#rows.delete(nameOf(key));
  }
}

function nameOf({ view, id, partner }: RecordKey): string {
  return `${view} ${id} ${partner}`;
}
