/**
 * Memory for images, used again. The collector looks at the whole heap for every few batches that are dropped, which takes longer than
 * augmenting them; and memory that was in use before is not cleared and mapped anew.
 */

/** Bytes that may lie idle; beyond them, memory is left to the collector. */
const MAX_IDLE_BYTES = 64 * 2 ** 20;

const idle: Float32Array<ArrayBuffer>[] = [];

/** Room for values that will all be written: it holds whatever it held before. */
export function takeRoom(values: number): Float32Array<ArrayBuffer> {
  const again = takeIdleRoom(values);
  if (again !== undefined) return again;
  // Not filled with zeros, unlike a new array.
  const { buffer, byteOffset } = Buffer.allocUnsafeSlow(values * Float32Array.BYTES_PER_ELEMENT);
  return new Float32Array(buffer, byteOffset, values);
}

/** Room that was given back, if there is some of just this size. */
export function takeIdleRoom(values: number): Float32Array<ArrayBuffer> | undefined {
  const index = idle.findIndex(({ length }) => length === values);
  return index < 0 ? undefined : idle.splice(index, 1)[0];
}

/**
 * Gives back images that `Dataset.load` answered. Whoever does must be the only one who has them, and look at them no more: other
 * images will be written over them. Nobody has to.
 */
export function giveBackRoom(images: Float32Array): void {
  const { buffer } = images;
  const idleBytes = idle.reduce((sum, { byteLength }) => sum + byteLength, 0);
  // A part of a buffer may not be the only one.
  if (!(buffer instanceof ArrayBuffer) || images.length === 0 || images.byteLength !== buffer.byteLength) return;
  if (idleBytes + images.byteLength > MAX_IDLE_BYTES || idle.some((other) => other.buffer === buffer)) return;
  idle.push(new Float32Array(buffer));
}
