/** Things in an order of theirs. */

/** For some thousands of things: places are found by halves, and what stands behind is moved at once. */
export class SortedList<T> {
  readonly #isBefore: (item: T, other: T) => boolean;
  readonly #items: T[] = [];

  /** @param isBefore a strict order in which of any two things one comes first */
  constructor(isBefore: (item: T, other: T) => boolean) {
    this.#isBefore = isBefore;
  }

  /** Live, in order. */
  get items(): readonly T[] {
    return this.#items;
  }

  /** What is there already stays there once. */
  add(item: T): void {
    const place = this.#placeOf(item);
    if (this.#items[place] !== item) this.#items.splice(place, 0, item);
  }

  remove(item: T): void {
    const place = this.#placeOf(item);
    if (this.#items[place] === item) this.#items.splice(place, 1);
  }

  /** How many stand before it. */
  #placeOf(item: T): number {
    let from = 0;
    let to = this.#items.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.#isBefore(this.#items[middle] as T, item)) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
