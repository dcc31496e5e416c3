/** How fast a phase goes now: over its last seconds, as a first epoch that computes features says little of the others. Pure. */
import type { Job } from './coordinator-client.ts';

export interface PhaseRate {
  readonly stepsPerSecond: number;
  /** All workers together. */
  readonly imagesPerSecond: number;
}

interface Mark {
  readonly ms: number;
  readonly step: number;
  readonly images: number;
}

const WINDOW_MS = 10_000;
/** The workers of a phase report one by one: over a shorter time their order would count as speed, as would a first step. */
const SHORTEST_MS = 3_000;

export class PhaseRates {
  /** By the phase's place in the job; the first mark is the last one from before the window, if there is one. */
  readonly #marks = new Map<number, Mark[]>();

  /** @param nowMs monotonic milliseconds, when the job was like this. */
  observe({ phases }: Job, nowMs: number): void {
    for (const [index, { state, step, workers }] of phases.entries()) {
      // Step 0 may be long over when it is seen first: workers load before they begin.
      if (state !== 'PHASE_STATE_RUNNING' || step === 0) continue;
      const images = workers.reduce((sum, { samplesCommitted }) => sum + samplesCommitted, 0);
      const marks = this.#marks.get(index) ?? [];
      const last = marks.at(-1);
      if (last !== undefined && last.step === step && last.images === images) continue;
      const isOver = last !== undefined && step < last.step;
      const kept = isOver ? [] : marks;
      kept.push({ ms: nowMs, step, images });
      while ((kept[1]?.ms ?? nowMs) <= nowMs - WINDOW_MS) kept.shift();
      this.#marks.set(index, kept);
    }
  }

  /** Undefined until it has been seen for long enough. */
  of(index: number): PhaseRate | undefined {
    const marks = this.#marks.get(index) ?? [];
    const first = marks[0];
    const last = marks.at(-1);
    if (first === undefined || last === undefined || last.ms - first.ms < SHORTEST_MS) return undefined;
    const seconds = (last.ms - first.ms) / 1000;
    // A step is committed by one worker after another: images may have moved and steps not.
    if (last.step === first.step) return undefined;
    return {
      stepsPerSecond: (last.step - first.step) / seconds,
      imagesPerSecond: (last.images - first.images) / seconds,
    };
  }
}
