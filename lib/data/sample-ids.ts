/** Sample ids in bulk: data sets have millions, which neither `Set` nor an array of numbers should hold. */

/** Whether ids are among some, at one bit for each id up to the largest. */
export class IdSet {
  readonly #bits: Uint8Array;

  constructor(ids: Uint32Array) {
    let largest = 0;
    for (let index = 0; index < ids.length; index++) largest = Math.max(largest, ids[index] as number);
    const bits = new Uint8Array((largest >>> 3) + 1);
    for (let index = 0; index < ids.length; index++) {
      const id = ids[index] as number;
      bits[id >>> 3] = (bits[id >>> 3] as number) | (1 << (id & 7));
    }
    this.#bits = bits;
  }

  has(id: number): boolean {
    return (((this.#bits[id >>> 3] ?? 0) >>> (id & 7)) & 1) === 1;
  }
}

/** The ids that `keep` says yes to, in the order given. */
export function selectIds(ids: Uint32Array, keep: (id: number) => boolean): Uint32Array {
  const kept = new Uint32Array(ids.length);
  let count = 0;
  for (let index = 0; index < ids.length; index++) {
    const id = ids[index] as number;
    if (keep(id)) kept[count++] = id;
  }
  return kept.slice(0, count);
}

/** All ids of the first list, then all of the second. */
export function joinIds(first: Uint32Array, second: Uint32Array): Uint32Array {
  const joined = new Uint32Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

/** As sorted, which takes longer where there are millions. @param pool ascending; `ids` are of it */
export function inOrderOf(pool: Uint32Array, ids: Uint32Array): Uint32Array {
  const chosen = new IdSet(ids);
  return selectIds(pool, (id) => chosen.has(id));
}
