/** How the vector is cut: into parts, one owner each, and parts into chunks that fit a message. */

/** A half-open range of positions in the vector. */
export interface Part {
  readonly start: number;
  readonly end: number;
}

/** Part `index` of `count` nearly equal parts. */
export function partOf(vectorSize: number, count: number, index: number): Part {
  const cut = (part: number) => Math.floor((vectorSize * part) / count);
  return { start: cut(index), end: cut(index + 1) };
}

/** Chunks of a part: at least one, so that an empty part still says that it is there. */
export function chunkCount(part: Part, chunkSize: number): number {
  return Math.max(1, Math.ceil((part.end - part.start) / chunkSize));
}

/** Chunk `index` of a part, as positions within the part. */
export function chunkOf(part: Part, chunkSize: number, index: number): Part {
  const length = part.end - part.start;
  return { start: Math.min(length, index * chunkSize), end: Math.min(length, (index + 1) * chunkSize) };
}
