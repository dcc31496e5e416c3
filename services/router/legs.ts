/**
 * Calls the specialists of a route: all at once, each tried a second time elsewhere when it fails and there is
 * elsewhere.
 */
import { monotonicMs } from '../../lib/base/clock.ts';
import { describeError, type ErrorCode, StillhouseError } from '../../lib/base/errors.ts';
import { OipClient } from '../../lib/wire/oip/client.ts';
import { LOGITS, nameOfDigest } from '../../lib/wire/oip/image-signature.ts';
import type { InferResponse, ModelMetadata, OipTensor } from '../../lib/wire/oip/types.ts';
import type { LegLogits } from './combine.ts';
import { logitsOf } from './leg-answer.ts';
import { chooseReplica } from './replica-choice.ts';
import type { RouteLegRecord, Specialist } from './route-table.ts';

/** A leg with those who can answer it. */
export interface ReachableLeg {
  readonly leg: RouteLegRecord;
  readonly replicas: readonly Specialist[];
}

export interface LegAnswer extends LegLogits {
  readonly specialist: string;
  /** From the call to its answer, a second try included. */
  readonly elapsedMs: number;
}

export interface LegLimits {
  /** For all tries together. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Errors that another specialist would answer as well, or that leave no time to ask one. */
const FINAL: readonly ErrorCode[] = ['INVALID_ARGUMENT', 'DEADLINE_EXCEEDED'];

export class Legs {
  readonly #clients = new Map<string, OipClient>();
  readonly #outstanding = new Map<string, number>();
  /** Clients that are closed once nothing is outstanding at their address. */
  #retired: { readonly address: string; readonly client: OipClient }[] = [];
  #turn = 0;

  /**
   * The answers of all legs, in order.
   * @throws the first leg's error that cannot be mended, naming the specialist; the other legs are cancelled then.
   */
  async infer(legs: readonly ReachableLeg[], input: OipTensor, rows: number, limits: LegLimits): Promise<LegAnswer[]> {
    return this.#callAll(legs, limits, async (client, leg, callLimits) => {
      const modelName = nameOfDigest(leg.modelDigest);
      const response: InferResponse = await client.infer({ modelName, inputs: [input], outputs: [LOGITS] }, callLimits);
      const { specialist, classIds, dustbin } = leg;
      const outputs = classIds.length + (dustbin ? 1 : 0);
      return { specialist, classIds, dustbin, logits: logitsOf(response, rows, outputs) };
    }).then((results) => results.map(({ value, elapsedMs }) => ({ ...value, elapsedMs })));
  }

  /** The metadata of all legs' models, in order. Errors as for `infer`. */
  async metadata(legs: readonly ReachableLeg[], limits: LegLimits): Promise<ModelMetadata[]> {
    const results = await this.#callAll(legs, limits, (client, leg, callLimits) =>
      client.metadata(nameOfDigest(leg.modelDigest), '', callLimits),
    );
    return results.map(({ value }) => value);
  }

  /** Lets go of connections to any other address, each when its calls have ended: silence alone does not cut them. */
  keepOnly(addresses: ReadonlySet<string>): void {
    for (const [address, client] of this.#clients) {
      if (addresses.has(address)) continue;
      this.#clients.delete(address);
      if (this.#outstanding.has(address)) this.#retired.push({ address, client });
      else client.close();
    }
  }

  close(): void {
    for (const { client } of this.#retired) client.close();
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  async #callAll<T>(legs: readonly ReachableLeg[], limits: LegLimits, call: LegCall<T>): Promise<Timed<T>[]> {
    const abandon = new AbortController();
    const signal = AbortSignal.any([limits.signal, abandon.signal]);
    const endsAtMs = monotonicMs() + limits.timeoutMs;
    const running = legs.map(async (leg) => {
      const startedMs = monotonicMs();
      const value = await this.#callLeg(leg, { endsAtMs, signal }, call);
      return { value, elapsedMs: monotonicMs() - startedMs };
    });
    try {
      return await Promise.all(running);
    } catch (error) {
      abandon.abort(new StillhouseError('CANCELLED', 'another leg of the route failed'));
      // The calls that were just cancelled end before the request does: nothing of it is left behind.
      await Promise.allSettled(running);
      throw limits.signal.aborted ? StillhouseError.from(limits.signal.reason) : error;
    }
  }

  async #callLeg<T>(
    { leg, replicas }: ReachableLeg,
    limits: { readonly endsAtMs: number; readonly signal: AbortSignal },
    call: LegCall<T>,
  ): Promise<T> {
    const tried = new Set<string>();
    const failures: { address: string; error: StillhouseError }[] = [];
    while (tried.size < 2) {
      const replica = chooseReplica(replicas, this.#outstanding, this.#turn++, tried);
      if (replica === undefined) break;
      const { address } = replica;
      tried.add(address);
      try {
        return await this.#callReplica(address, leg, limits, call);
      } catch (thrown) {
        const error = StillhouseError.from(thrown);
        failures.push({ address, error });
        if (limits.signal.aborted || FINAL.includes(error.code)) break;
      }
    }
    throw legError(leg, failures);
  }

  async #callReplica<T>(
    address: string,
    leg: RouteLegRecord,
    limits: { readonly endsAtMs: number; readonly signal: AbortSignal },
    call: LegCall<T>,
  ): Promise<T> {
    const timeoutMs = Math.max(0, limits.endsAtMs - monotonicMs());
    this.#count(address, 1);
    try {
      return await call(this.#clientOf(address), leg, { timeoutMs, signal: limits.signal });
    } finally {
      this.#count(address, -1);
    }
  }

  #clientOf(address: string): OipClient {
    const known = this.#clients.get(address);
    if (known !== undefined) return known;
    const client = new OipClient(address);
    this.#clients.set(address, client);
    return client;
  }

  #count(address: string, change: number): void {
    const count = (this.#outstanding.get(address) ?? 0) + change;
    if (count > 0) {
      this.#outstanding.set(address, count);
      return;
    }
    this.#outstanding.delete(address);
    for (const retired of this.#retired) if (retired.address === address) retired.client.close();
    this.#retired = this.#retired.filter((retired) => retired.address !== address);
  }
}

type LegCall<T> = (client: OipClient, leg: RouteLegRecord, limits: LegLimits) => Promise<T>;

interface Timed<T> {
  readonly value: T;
  readonly elapsedMs: number;
}

/** Says which specialist failed, where, and why. What the caller did wrong stays the caller's fault. */
function legError(
  leg: RouteLegRecord,
  failures: readonly { readonly address: string; readonly error: StillhouseError }[],
): StillhouseError {
  const last = failures.at(-1)?.error;
  if (last === undefined)
    return new StillhouseError('UNAVAILABLE', `no specialist "${leg.specialist}" is within reach`);
  if (last.code === 'INVALID_ARGUMENT') return last;
  const reasons = failures.map(({ address, error }) => `${address}: ${describeError(error)}`).join('; then ');
  return new StillhouseError(codeOfFailure(last.code), `specialist "${leg.specialist}" failed at ${reasons}`, {
    field: leg.specialist,
    cause: last,
  });
}

/** A model that a specialist does not have is unknown there, but the route is known here: it cannot answer now. */
function codeOfFailure(code: ErrorCode): ErrorCode {
  if (code === 'DEADLINE_EXCEEDED') return code;
  return code === 'INTERNAL' || code === 'DATA_LOSS' ? 'INTERNAL' : 'UNAVAILABLE';
}
