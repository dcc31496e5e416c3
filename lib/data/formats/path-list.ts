/** Paths of very many files in little memory: folders once each, the names in them as UTF-8 in one buffer. */
import path from 'node:path';

const FIRST_BYTES = 4096;

export class PathList {
  readonly #folders: string[] = [];
  /** By folder: the index of its first file. */
  readonly #firsts: number[] = [];
  /** By file: where its name ends in `#names`. */
  readonly #ends: number[] = [];
  #names = new Uint8Array(FIRST_BYTES);

  get length(): number {
    return this.#ends.length;
  }

  /** Files of one folder are added one after the other. */
  add(folder: string, name: string): void {
    if (this.#folders.at(-1) !== folder) {
      this.#folders.push(folder);
      this.#firsts.push(this.length);
    }
    const bytes = Buffer.from(name);
    const start = this.#ends.at(-1) ?? 0;
    const end = start + bytes.length;
    if (end > this.#names.length) {
      const longer = new Uint8Array(2 * end);
      longer.set(this.#names);
      this.#names = longer;
    }
    this.#names.set(bytes, start);
    this.#ends.push(end);
  }

  at(index: number): string {
    let low = 0;
    for (let high = this.#firsts.length; high - low > 1; ) {
      const middle = (low + high) >> 1;
      if ((this.#firsts[middle] as number) <= index) low = middle;
      else high = middle;
    }
    const start = index === 0 ? 0 : (this.#ends[index - 1] as number);
    const name = Buffer.from(this.#names.subarray(start, this.#ends[index])).toString();
    return path.join(this.#folders[low] as string, name);
  }
}
