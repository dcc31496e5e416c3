/** How much may be stored in a folder of logits, by all processes that share it. */
import { storedBytes } from './namespaces.ts';

export class Room {
  readonly #root: string;
  readonly #bytesMax: number;
  /** What may be stored until it is measured again. */
  #left = 0;

  constructor(root: string, bytesMax: number) {
    this.#root = root;
    this.#bytesMax = bytesMax;
  }

  /** Whether there is room for so many bytes more; they are then taken. */
  async take(bytes: number): Promise<boolean> {
    if (this.#left < bytes) {
      const free = this.#bytesMax - (await storedBytes(this.#root));
      if (free < bytes) return false;
      // Others store too: it is measured again long before all of it can be full.
      this.#left = Math.max(bytes, Math.min(free, this.#bytesMax / MEASURED_PER_LIMIT));
    }
    this.#left -= bytes;
    return true;
  }
}

const MEASURED_PER_LIMIT = 128;
