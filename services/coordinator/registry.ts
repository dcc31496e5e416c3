/** Published models and routes, in `still_models` and `still_routes`; all writes by compare-and-set. */
import { sleep, wallClockIso } from '../../lib/base/clock.ts';
import { sha256 } from '../../lib/base/digest.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { KeyValue } from '../../lib/wire/kv.ts';
import { decodeModel, decodeRoute, encodeRecord, type ModelRecord, type RouteRecord } from '../../lib/wire/records.ts';
import type { PublishedModel } from './job-events.ts';
import { checkRoute } from './route-check.ts';

export interface RouteRevision {
  readonly route: RouteRecord;
  readonly revision: number;
}

/** Others may write the same key in between; a publication decides again, so many times. */
const WRITE_TRIES = 10;
const RETRY_MS = 1_000;

export class Registry {
  readonly #models: KeyValue;
  readonly #routes: KeyValue;

  constructor(models: KeyValue, routes: KeyValue) {
    this.#models = models;
    this.#routes = routes;
  }

  /**
   * Writes the models, then the route over them, whatever was there before. Resolves to the route's revision. Once the
   * signal is aborted nothing more is written, and it rejects with the signal's reason.
   */
  async publish(
    jobId: string,
    models: readonly PublishedModel[],
    route: RouteRecord,
    signal: AbortSignal,
  ): Promise<number> {
    for (const { name, digest, manifestJson } of models) {
      if (sha256(manifestJson) !== digest) {
        throw new StillhouseError('DATA_LOSS', `the manifest of ${name} does not match its digest ${digest}`);
      }
      const record = { name, digest, manifestJson, publishedAt: wallClockIso(), jobId };
      await overwrite(this.#models, name, encodeRecord(record), signal);
    }
    return await overwrite(this.#routes, route.name, encodeRecord(route), signal);
  }

  /** All models at their latest, by name. */
  async listModels(): Promise<ModelRecord[]> {
    const models = await Promise.all((await this.#models.keys()).map((name) => this.#modelNamed(name)));
    return models.filter((model) => model !== undefined);
  }

  /** NOT_FOUND when there is no such name or digest, the latter among the revisions that are kept. */
  async getModel(nameOrDigest: string): Promise<ModelRecord> {
    const found = nameOrDigest.startsWith('sha256:')
      ? await this.#modelWithDigest(nameOrDigest)
      : await this.#modelNamed(nameOrDigest);
    if (found !== undefined) return found;
    throw new StillhouseError('NOT_FOUND', `there is no published model "${nameOrDigest}"`, {
      field: 'name_or_digest',
      hint: 'ListModels names all of them',
    });
  }

  /**
   * Writes a route that a person or program made. ABORTED when its revision is not `expectedRevision`, 0 standing for a
   * route that must not exist; INVALID_ARGUMENT when it is malformed; FAILED_PRECONDITION when a model is not published.
   */
  async putRoute(route: RouteRecord, expectedRevision: number): Promise<number> {
    await checkRoute(route, (digest) => this.#modelWithDigest(digest));
    const value = encodeRecord(route);
    if (expectedRevision !== 0) return await this.#routes.update(route.name, value, expectedRevision);
    try {
      return await this.#routes.create(route.name, value);
    } catch (error) {
      if (StillhouseError.from(error).code !== 'ALREADY_EXISTS') throw error;
      throw new StillhouseError('ABORTED', `the route ${route.name} exists already`, {
        field: 'expected_revision',
        hint: 'read it, decide again, write again',
        cause: error,
      });
    }
  }

  async getRoute(name: string): Promise<RouteRevision> {
    const entry = await this.#routes.get(nonEmpty(name));
    if (entry === undefined) throw new StillhouseError('NOT_FOUND', `there is no route "${name}"`, { field: 'name' });
    return { route: decodeRoute(entry.value, `route ${name}`), revision: entry.revision };
  }

  /** All routes at their latest, by name. */
  async listRoutes(): Promise<RouteRevision[]> {
    return await Promise.all((await this.#routes.keys()).map((name) => this.getRoute(name)));
  }

  /** Writes an earlier revision again. NOT_FOUND when it is no longer kept; ABORTED when another write came between. */
  async rollbackRoute(name: string, toRevision: number): Promise<RouteRevision> {
    const current = await this.getRoute(name);
    const entries = await this.#routes.history(name);
    const earlier = entries.find(({ revision }) => revision === toRevision);
    if (earlier === undefined) {
      const kept = entries.map(({ revision }) => revision).join(', ');
      throw new StillhouseError('NOT_FOUND', `revision ${toRevision} of route ${name} is not kept`, {
        field: 'to_revision',
        hint: `kept are ${kept}`,
      });
    }
    const route = decodeRoute(earlier.value, `route ${name}, revision ${toRevision}`);
    return { route, revision: await this.#routes.update(name, earlier.value, current.revision) };
  }

  async #modelNamed(name: string): Promise<ModelRecord | undefined> {
    const entry = await this.#models.get(nonEmpty(name));
    return entry === undefined ? undefined : decodeModel(entry.value, `model ${name}`);
  }

  /** Also an earlier one of a name: routes may go back to it. */
  async #modelWithDigest(digest: string): Promise<ModelRecord | undefined> {
    const latest = (await this.listModels()).find((model) => model.digest === digest);
    if (latest !== undefined) return latest;
    for (const name of await this.#models.keys()) {
      const entries = await this.#models.history(name);
      const found = entries
        .map(({ value }) => decodeModel(value, `model ${name}`))
        .find((one) => one.digest === digest);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function nonEmpty(name: string): string {
  if (name !== '') return name;
  throw new StillhouseError('INVALID_ARGUMENT', 'the name is missing', { field: 'name' });
}

async function overwrite(bucket: KeyValue, key: string, value: Uint8Array, signal: AbortSignal): Promise<number> {
  for (let tries = 1; ; tries++) {
    try {
      const current = await bucket.get(key);
      signal.throwIfAborted();
      if (current === undefined) return await bucket.create(key, value);
      return await bucket.update(key, value, current.revision);
    } catch (error) {
      const { code } = StillhouseError.from(error);
      signal.throwIfAborted();
      if (tries === WRITE_TRIES || !['ABORTED', 'ALREADY_EXISTS', 'UNAVAILABLE'].includes(code)) throw error;
      // Hours of training shall not be lost to a broker that restarts.
      if (code === 'UNAVAILABLE') await sleep(RETRY_MS, signal);
    }
  }
}
