/** Room for the pixels that a change still needs while it overwrites them. */

/** One image is changed at a time and without pause, so one buffer per thread will do. */
let room = new Float32Array(0);

/** @returns a copy of `pixels` at the start of a buffer that may be longer; good until the next call */
export function copyToScratch(pixels: Float32Array): Float32Array {
  if (room.length < pixels.length) room = new Float32Array(pixels.length);
  room.set(pixels);
  return room;
}
