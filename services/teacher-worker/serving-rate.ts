/** How many samples a second a teacher computes when it has enough to do: measured while it works, idle time left out. */

/** What lies so much working time back counts 1/e. */
const MEMORY_MS = 5_000;

export class ServingRate {
  /** Units of work that have begun and not ended. */
  #underway = 0;
  /** Until when working time has been counted. */
  #countedMs = 0;
  #workingMs = 0;
  #samples = 0;
  /** The first unit also pays for whatever is set up when it is first needed: its time is left out. */
  #isWarm = false;

  /** 0 while unknown. */
  get samplesPerSecond(): number {
    return this.#workingMs > 0 ? (this.#samples / this.#workingMs) * 1000 : 0;
  }

  began(nowMs: number): void {
    this.#countUntil(nowMs);
    this.#underway += 1;
  }

  ended(samples: number, nowMs: number): void {
    this.#countUntil(nowMs);
    this.#underway -= 1;
    if (this.#isWarm) this.#samples += samples;
    this.#isWarm = true;
  }

  #countUntil(nowMs: number): void {
    const workedMs = this.#underway > 0 && this.#isWarm ? nowMs - this.#countedMs : 0;
    this.#countedMs = nowMs;
    const share = Math.exp(-workedMs / MEMORY_MS);
    this.#workingMs = this.#workingMs * share + workedMs;
    this.#samples *= share;
  }
}
