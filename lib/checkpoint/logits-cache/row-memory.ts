/** Rows in memory, as far as that reaches: those numbered first. */

/** How much memory rows may take, of all caches that share it. */
export class MemoryBudget {
  bytesMax: number;
  #taken = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Takes as many items as there is room for, `count` at most. @returns how many */
  take(count: number, itemBytes: number): number {
    const taken = Math.min(count, Math.max(0, Math.floor((this.bytesMax - this.#taken) / itemBytes)));
    this.#taken += taken * itemBytes;
    return taken;
  }

  give(bytes: number): void {
    this.#taken -= bytes;
  }
}

const PAGE_BYTES = 2 ** 20;

export class RowMemory {
  readonly #rowBytes: number;
  readonly #budget: MemoryBudget;
  readonly #rowsPerPage: number;
  readonly #pages: Uint8Array[] = [];
  /** That the pages have room for. */
  #capacity = 0;
  /** Those that follow the first one without room are elsewhere too: their places are runs. */
  #isFull = false;

  constructor(rowBytes: number, budget: MemoryBudget) {
    this.#rowBytes = rowBytes;
    this.#budget = budget;
    this.#rowsPerPage = Math.max(1, Math.floor(PAGE_BYTES / rowBytes));
  }

  /** Whether the row, one that was put, is held. */
  holds(row: number): boolean {
    return row < this.#capacity;
  }

  /** False when there is no room for it. @param row the next number in turn */
  put(row: number, bytes: Uint8Array): boolean {
    if (row >= this.#capacity && !this.#grow()) return false;
    const page = this.#pages[Math.floor(row / this.#rowsPerPage)] as Uint8Array;
    page.set(bytes, (row % this.#rowsPerPage) * this.#rowBytes);
    return true;
  }

  /** @param row one that is held */
  copyTo(row: number, target: Uint8Array, at: number): void {
    const page = this.#pages[Math.floor(row / this.#rowsPerPage)] as Uint8Array;
    const from = (row % this.#rowsPerPage) * this.#rowBytes;
    target.set(page.subarray(from, from + this.#rowBytes), at);
  }

  /** Leaves the room to others. Once, when no row is asked for any more. */
  release(): void {
    this.#isFull = true;
    this.#budget.give(this.#capacity * this.#rowBytes);
  }

  #grow(): boolean {
    if (this.#isFull) return false;
    const rows = this.#budget.take(this.#rowsPerPage, this.#rowBytes);
    this.#isFull = rows < this.#rowsPerPage;
    if (rows === 0) return false;
    this.#pages.push(new Uint8Array(rows * this.#rowBytes));
    this.#capacity += rows;
    return true;
  }
}
