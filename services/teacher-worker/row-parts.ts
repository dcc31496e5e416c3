/** Rows encoded a few at a time: streams are served in between. */
import { monotonicMs, nextPass } from '../../lib/base/clock.ts';

/** Logits that are encoded at a time: about two milliseconds in the slowest encoding. */
const PART_VALUES = 16_384;
/** After that long others come first. */
const PASS_AFTER_MS = 2;

/**
 * @param columns of a row, at least one
 * @param encode answers the rows from `from` to before `to`; what it answers of a row does not depend on which others are with it
 * @returns as `encode(0, rows)` does
 * @throws as `encode(0, rows)` does
 */
export async function encodeInParts(
  rows: number,
  columns: number,
  encode: (from: number, to: number) => Uint8Array,
): Promise<Uint8Array> {
  const size = Math.max(1, Math.floor(PART_VALUES / columns));
  if (rows <= size) return encode(0, rows);
  const parts: Uint8Array[] = [];
  let sinceMs = monotonicMs();
  for (let from = 0; from < rows; from += size) {
    if (monotonicMs() - sinceMs >= PASS_AFTER_MS) {
      await nextPass();
      sinceMs = monotonicMs();
    }
    try {
      parts.push(encode(from, Math.min(rows, from + size)));
    } catch (thrown) {
      // Names the row as it is counted in the batch.
      encode(0, rows);
      throw thrown;
    }
  }
  return joined(parts);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
