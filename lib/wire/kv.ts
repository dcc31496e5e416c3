/** The key-value port: small records with a revision, written by compare-and-set. */
import { StillhouseError } from '../base/errors.ts';

export interface KeyValueEntry {
  readonly value: Uint8Array;
  /** Grows with every write of the bucket: later writes have higher revisions, also across keys. */
  readonly revision: number;
}

/** Called with `undefined` for a deleted key. */
export type KeyValueWatcher = (key: string, value: Uint8Array | undefined, revision: number) => void;

/** Keys are any text; adapters encode them. Reads may be stale: act only after a successful compare-and-set. */
export interface KeyValue {
  get(key: string): Promise<KeyValueEntry | undefined>;
  /** Resolves to the revision. Rejects with ALREADY_EXISTS when the key is there. */
  create(key: string, value: Uint8Array): Promise<number>;
  /** Resolves to the new revision. Rejects with ABORTED when the key's revision is not `expectedRevision`. */
  update(key: string, value: Uint8Array, expectedRevision: number): Promise<number>;
  /** All keys, sorted. */
  keys(): Promise<string[]>;
  /** The revisions of the key that are still kept, oldest first. */
  history(key: string): Promise<KeyValueEntry[]>;
  /** Resolves, after all current entries have been told, to the function that ends the watch. */
  watch(onEntry: KeyValueWatcher): Promise<() => void>;
}

/** A compare-and-set that lost. */
export function revisionConflict(bucket: string, key: string, cause?: unknown): StillhouseError {
  return new StillhouseError('ABORTED', `${key} in ${bucket} has changed since it was read`, {
    hint: 'read it, decide again, write again',
    cause,
  });
}

/** A creation that lost. */
export function keyExists(bucket: string, key: string, cause?: unknown): StillhouseError {
  return new StillhouseError('ALREADY_EXISTS', `${key} is in ${bucket} already`, { cause });
}

/**
 * NATS allows few characters in keys. The others become `=` and two hex digits per byte; so does the dot, which would
 * split a key into tokens.
 */
export function encodeKey(key: string): string {
  if (key === '') throw new StillhouseError('INVALID_ARGUMENT', 'a key must not be empty');
  return key.replace(/[^-_/a-zA-Z0-9]/gu, (character) =>
    [...new TextEncoder().encode(character)].map((byte) => `=${byte.toString(16).padStart(2, '0')}`).join(''),
  );
}

export function decodeKey(encoded: string): string {
  const bytes: number[] = [];
  for (let at = 0; at < encoded.length; at++) {
    if (encoded[at] === '=') {
      bytes.push(Number.parseInt(encoded.slice(at + 1, at + 3), 16));
      at += 2;
    } else {
      bytes.push(encoded.charCodeAt(at));
    }
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
