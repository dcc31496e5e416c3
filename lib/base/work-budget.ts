/** Work that takes memory, each piece a known share of it: as many pieces at a time as the budget holds. */

interface Waiting {
  readonly size: number;
  readonly begin: () => void;
}

export class WorkBudget {
  readonly #limit: number;
  /** In the order in which they were asked for. */
  readonly #waiting: Waiting[] = [];
  #used = 0;

  /** @param limit of the sizes of what is at work at a time; a larger piece is at work by itself */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Answers what `work` answers, which begins when the budget holds it and all that were asked for before have begun. */
  async run<T>(size: number, work: () => Promise<T>): Promise<T> {
    await new Promise<void>((begin) => {
      this.#waiting.push({ size, begin });
      this.#beginNext();
    });
    try {
      return await work();
    } finally {
      this.#used -= size;
      this.#beginNext();
    }
  }

  #beginNext(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#used > 0 && this.#used + next.size > this.#limit) return;
      this.#waiting.shift();
      this.#used += next.size;
      next.begin();
    }
  }
}
