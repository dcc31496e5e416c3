/** Whether two arrays hold the same bits; `t.deepEqual` takes minutes for the weights of a network. */
export function sameValues(a: Float32Array, b: Float32Array): boolean {
  const bytes = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return bytes(a).equals(bytes(b));
}
