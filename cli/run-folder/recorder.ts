/** Writes down what is seen of a running job: metrics, curves, checkpoints. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { wallClockIso, wallClockMs } from '../../lib/base/clock.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Job } from '../coordinator-client.ts';
import { Checkpoints } from './checkpoints.ts';
import { curvePoints } from './curve-points.ts';
import { EventFiles } from './event-files.ts';
import { metricRows } from './metric-rows.ts';
import { phaseChanges } from './phase-changes.ts';
import type { RunFolder } from './run-folder.ts';

export class RunRecorder {
  readonly #metrics: number;
  readonly #events: EventFiles;
  readonly #checkpoints: Checkpoints;
  #before: Job | undefined;

  /** @param note takes a line for people about what could not be kept */
  constructor(folder: RunFolder, objects: ObjectStore, note: (line: string) => void) {
    this.#metrics = openSync(folder.metrics, 'w');
    this.#events = new EventFiles(folder.tensorboard);
    this.#checkpoints = new Checkpoints({ folder: folder.checkpoints, objects, note });
  }

  observe(job: Job): void {
    const changes = phaseChanges(this.#before, job);
    this.#before = job;
    // Synchronously: whatever ends the process, the metrics so far are whole lines.
    for (const row of metricRows(changes, wallClockIso())) writeSync(this.#metrics, `${JSON.stringify(row)}\n`);
    this.#events.add(curvePoints(changes), wallClockMs() / 1000);
    this.#checkpoints.observe(job);
  }

  /** Resolves when the checkpoints that have been seen are on disk. */
  settled(): Promise<void> {
    return this.#checkpoints.settled();
  }

  close(): void {
    this.#checkpoints.abandon();
    this.#events.close();
    closeSync(this.#metrics);
  }
}
