/** How soon coming steps will need their logits, by how long steps have taken. Pure. */

/** Share of the latest step in the running mean. */
const EWMA_SHARE = 0.2;

export class StepPace {
  #next = 0;
  #stepMs = 0;
  #committedMs: number | undefined;

  committed(step: number, nowMs: number): void {
    if (this.#committedMs !== undefined && step >= this.#next) {
      const tookMs = (nowMs - this.#committedMs) / (step - this.#next + 1);
      this.#stepMs = this.#stepMs === 0 ? tookMs : this.#stepMs + EWMA_SHARE * (tookMs - this.#stepMs);
    }
    this.#next = Math.max(this.#next, step + 1);
    this.#committedMs = nowMs;
  }

  /** From now until nothing is left to do without the step's logits; 0 for the step that is computed. */
  neededInMs(step: number, nowMs: number): number {
    const sinceMs = nowMs - (this.#committedMs ?? nowMs);
    return Math.max(0, (step - this.#next) * this.#stepMs - sinceMs);
  }
}
