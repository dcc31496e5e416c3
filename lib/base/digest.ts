/** Content digests. A digest names a thing everywhere: `sha256:` and 64 hex digits. */
import { createHash } from 'node:crypto';
import { nextTurn } from './clock.ts';
import { StillhouseError } from './errors.ts';

/** Hashed within milliseconds. */
const PIECE_BYTES = 8 << 20;

export function sha256(...parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return `sha256:${hash.digest('hex')}`;
}

/** The same of what may be large: whatever else is due comes in between. */
export async function sha256InPieces(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
    if (start > 0) await nextTurn();
    hash.update(bytes.subarray(start, start + PIECE_BYTES));
  }
  return `sha256:${hash.digest('hex')}`;
}

/**
 * The hex digits of a digest. Refusing everything else keeps names that are made of them harmless.
 * @throws INVALID_ARGUMENT
 */
export function digestHex(digest: string): string {
  const hex = /^sha256:([0-9a-f]{64})$/.exec(digest)?.[1];
  if (hex !== undefined) return hex;
  throw new StillhouseError('INVALID_ARGUMENT', `${JSON.stringify(digest)} is not a digest`, {
    hint: 'a digest is sha256: and 64 lower-case hex digits',
  });
}

/** The bytes of a typed array, without a copy. */
export function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
