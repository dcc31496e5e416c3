/** Checkpoints of the models in training, copied from the object store as they come up. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError } from '../../lib/base/errors.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import { writeArtefactFolder } from '../../lib/model/artefact.ts';
import type { Job } from '../coordinator-client.ts';
import { fetchModel } from '../fetch-model.ts';
import { phaseFolder } from './phase-changes.ts';

export interface CheckpointOptions {
  readonly folder: string;
  readonly objects: ObjectStore;
  /** Told once when checkpoints cannot be kept; the run goes on without them. */
  readonly note: (line: string) => void;
}

interface Checkpoint {
  /** The folder of its phase. */
  readonly phase: string;
  readonly epoch: number;
  readonly digest: string;
}

/** The latest is what one goes on from; the one before it, should that be the one where training went wrong. */
const KEPT = 2;

export class Checkpoints {
  readonly #options: CheckpointOptions;
  /** The latest that has been seen, by phase. */
  readonly #seen = new Map<string, string>();
  /** Still to be fetched, by phase: of a phase only the latest. */
  readonly #wanted = new Map<string, Checkpoint>();
  /** What lies on disk, by phase, the oldest first. */
  readonly #kept = new Map<string, string[]>();
  #work: Promise<void> | undefined;
  #failed = false;
  #abandoned = false;

  constructor(options: CheckpointOptions) {
    this.#options = options;
  }

  observe({ phases }: Job): void {
    for (const phase of phases) {
      const { checkpointDigest: digest, checkpointEpoch: epoch } = phase;
      const name = phaseFolder(phase);
      if (digest === '' || this.#seen.get(name) === digest) continue;
      this.#seen.set(name, digest);
      this.#wanted.set(name, { phase: name, epoch, digest });
    }
    if (this.#wanted.size > 0) this.#work ??= this.#fetchAll();
  }

  /** Resolves when all that has been seen is on disk. */
  async settled(): Promise<void> {
    await this.#work;
  }

  /** What is being fetched no longer matters, nor that it fails. */
  abandon(): void {
    this.#abandoned = true;
    this.#wanted.clear();
  }

  async #fetchAll(): Promise<void> {
    for (;;) {
      const [next] = this.#wanted.values();
      if (next === undefined) break;
      this.#wanted.delete(next.phase);
      try {
        await this.#keep(next);
      } catch (error) {
        if (!this.#failed && !this.#abandoned) {
          const text = `a checkpoint of ${next.phase} could not be kept, the run goes on: ${describeError(error)}`;
          this.#options.note(text);
        }
        this.#failed = true;
      }
    }
    this.#work = undefined;
  }

  async #keep({ phase, epoch, digest }: Checkpoint): Promise<void> {
    const { objects, folder } = this.#options;
    const artefact = await fetchModel(objects, digest);
    if (this.#abandoned) return;
    const location = join(folder, phase, `epoch-${String(epoch).padStart(4, '0')}`);
    // A phase that was begun again comes by the same epoch twice.
    await rm(location, { recursive: true, force: true });
    await writeArtefactFolder(location, artefact);
    const kept = [...(this.#kept.get(phase) ?? []).filter((other) => other !== location), location];
    for (const old of kept.splice(0, kept.length - KEPT)) await rm(old, { recursive: true, force: true });
    this.#kept.set(phase, kept);
  }
}
