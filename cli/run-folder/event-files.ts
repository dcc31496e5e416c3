/** TensorBoard's event files of a run: one per phase, each in its own folder. */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { CurvePoint } from './curve-points.ts';
import { scalarsRecord, versionRecord } from './tensorboard-events.ts';

/** Writes are synchronous: whatever ends the process, what was seen until then can be read. */
export class EventFiles {
  readonly #folder: string;
  readonly #files = new Map<string, number>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @param wallTime seconds since 1970 */
  add(points: readonly CurvePoint[], wallTime: number): void {
    for (const { run, step, scalars } of points) {
      writeSync(this.#file(run, wallTime), scalarsRecord(wallTime, step, scalars));
    }
  }

  close(): void {
    for (const file of this.#files.values()) closeSync(file);
    this.#files.clear();
  }

  #file(run: string, wallTime: number): number {
    const known = this.#files.get(run);
    if (known !== undefined) return known;
    const folder = join(this.#folder, run);
    mkdirSync(folder, { recursive: true });
    // TensorBoard's own naming: it reads files in the order of their times.
    const seconds = String(Math.floor(wallTime)).padStart(10, '0');
    const file = openSync(join(folder, `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.0`), 'a');
    this.#files.set(run, file);
    writeSync(file, versionRecord(wallTime));
    return file;
  }
}
