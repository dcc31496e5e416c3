/**
 * The bus: publish and subscribe, at most once, as core NATS does it. A message may be lost (above all while the
 * connection is), never altered. Whoever needs more repeats by key.
 */
import { StillhouseError } from '../base/errors.ts';

/** A subject may hold the wildcards `*` (one token) and `>` (one or more at the end) when subscribed to. */
export type BusHandler = (payload: Uint8Array, subject: string) => void;

export interface Bus {
  /** Larger payloads are refused: chunk them. */
  readonly maxPayloadBytes: number;
  /**
   * Sends to every other connection's subscribers; never back to our own. Dropped while the connection is lost. Throws
   * RESOURCE_EXHAUSTED when the payload is larger than `maxPayloadBytes`. The payload must not change until `flush`.
   */
  publish(subject: string, payload: Uint8Array): void;
  /** Calls `handler` for each message until the returned function is called. The handler may keep the payload. */
  subscribe(subject: string, handler: BusHandler): () => void;
  /** Resolves when the server has what was published and knows what was subscribed to before. */
  flush(): Promise<void>;
}

/** Whether a subject matches a pattern with NATS wildcards. */
export function subjectMatches(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const tokens = subject.split('.');
  for (const [at, token] of wanted.entries()) {
    if (token === '>') return tokens.length > at;
    if (tokens[at] === undefined || (token !== '*' && token !== tokens[at])) return false;
  }
  return tokens.length === wanted.length;
}

/** The refusal of a payload that every adapter answers with. */
export function payloadTooLarge(bytes: number, maxBytes: number): StillhouseError {
  return new StillhouseError('RESOURCE_EXHAUSTED', `a payload of ${bytes} bytes exceeds the bus's ${maxBytes} bytes`, {
    hint: 'lower averaging.chunkKiB, or raise max_payload of nats-server',
  });
}
