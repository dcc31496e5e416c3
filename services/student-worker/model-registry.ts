/**
 * Which models a specialist has loaded, and under which names it serves them. A new set is loaded first, then swapped
 * in at once; what is no longer in it answers under its digest for a while longer, until routers have moved on.
 */
import { after } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Logger } from '../../lib/base/log.ts';
import type { ModelManifest } from '../../lib/model/artefact.ts';
import type { Predictor } from '../../lib/model/predictor.ts';

export interface LoadedModel {
  readonly manifest: ModelManifest;
  readonly predictor: Predictor;
}

export interface ModelAssignment {
  /** In inference requests. */
  readonly name: string;
  /** `sha256:…` */
  readonly digest: string;
}

interface Entry extends LoadedModel {
  readonly digest: string;
  inFlight: number;
  /** Cancels the retirement that is under way; undefined while the model is served. */
  keep: (() => void) | undefined;
  /** Called when `inFlight` falls to 0 after the model was dropped. */
  onIdle: (() => void) | undefined;
}

export interface RegistryOptions {
  load(digest: string): Promise<LoadedModel>;
  /** Time for which a dropped model still answers under its digest. */
  readonly retireAfterMs: number;
  readonly logger: Logger;
}

export class ModelRegistry {
  readonly #options: RegistryOptions;
  /** By digest; those that retire too. */
  readonly #entries = new Map<string, Entry>();
  /** Served name → digest. */
  #names: ReadonlyMap<string, string> = new Map();
  #lastChange: Promise<unknown> = Promise.resolve();
  readonly #closing = new Set<Promise<void>>();

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** Digests of the models that are served; those that retire are not among them. */
  digests(): string[] {
    return [...this.#entries.values()].filter((entry) => entry.keep === undefined).map((entry) => entry.digest);
  }

  /**
   * Serves exactly these models from now on; resolves when all of them answer. Calls are carried out one after the
   * other.
   * @throws INVALID_ARGUMENT for a name given twice; what `load` throws. Nothing has changed then.
   */
  assign(models: readonly ModelAssignment[]): Promise<void> {
    const change = this.#lastChange.then(() => this.#assign(models));
    // A failed change is its caller's affair; the next one starts from the state before it.
    this.#lastChange = change.then(
      () => undefined,
      () => undefined,
    );
    return change;
  }

  /** Manifest and digest of a model by served name or by digest; undefined when there is none. */
  find(name: string): { readonly digest: string; readonly manifest: ModelManifest } | undefined {
    return this.#entryOf(name);
  }

  /** Runs `work` with the model; the model is not closed before it ends. */
  async use<T>(digest: string, work: (model: LoadedModel) => Promise<T>): Promise<T> {
    const entry = this.#entries.get(digest);
    if (entry === undefined) throw new StillhouseError('NOT_FOUND', `there is no model ${digest} here`);
    entry.inFlight++;
    try {
      return await work(entry);
    } finally {
      entry.inFlight--;
      if (entry.inFlight === 0) entry.onIdle?.();
    }
  }

  /** Drops everything; resolves when the last request has ended and all models are closed. */
  async close(): Promise<void> {
    await this.#lastChange;
    this.#names = new Map();
    for (const entry of [...this.#entries.values()]) this.#drop(entry);
    await Promise.all(this.#closing);
  }

  #entryOf(name: string): Entry | undefined {
    const digest = this.#names.get(name) ?? name.replace(/^sha256-/, 'sha256:');
    return this.#entries.get(digest);
  }

  async #assign(models: readonly ModelAssignment[]): Promise<void> {
    const names = new Map(models.map((model) => [model.name, model.digest]));
    if (names.size !== models.length) {
      throw new StillhouseError('INVALID_ARGUMENT', 'a name is given to two models', { field: 'models' });
    }
    const wanted = new Set(names.values());
    const loaded: Entry[] = [];
    const revived: Entry[] = [];
    try {
      for (const digest of wanted) {
        const entry = this.#entries.get(digest);
        if (entry === undefined) loaded.push(await this.#load(digest));
        else if (entry.keep !== undefined) revived.push(this.#revive(entry));
      }
    } catch (error) {
      for (const entry of revived) this.#retire(entry);
      for (const entry of loaded) await entry.predictor.close();
      throw error;
    }
    for (const entry of loaded) this.#entries.set(entry.digest, entry);
    this.#names = names;
    for (const entry of this.#entries.values()) {
      if (!wanted.has(entry.digest) && entry.keep === undefined) this.#retire(entry);
    }
    this.#options.logger.info({ models }, 'serving models');
  }

  async #load(digest: string): Promise<Entry> {
    const { manifest, predictor } = await this.#options.load(digest);
    return { manifest, predictor, digest, inFlight: 0, keep: undefined, onIdle: undefined };
  }

  #revive(entry: Entry): Entry {
    entry.keep?.();
    entry.keep = undefined;
    return entry;
  }

  #retire(entry: Entry): void {
    entry.keep = after(this.#options.retireAfterMs, () => this.#drop(entry));
  }

  #drop(entry: Entry): void {
    entry.keep?.();
    this.#entries.delete(entry.digest);
    const idle = new Promise<void>((resolve) => {
      if (entry.inFlight === 0) resolve();
      else entry.onIdle = resolve;
    });
    const closed: Promise<void> = idle
      .then(() => entry.predictor.close())
      .catch((error: unknown) => {
        this.#options.logger.warn({ err: error, digest: entry.digest }, 'closing a model failed');
      })
      .finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }
}
