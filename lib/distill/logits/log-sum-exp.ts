/** Log-sum-exp of logits. */

/**
 * T·log Σ exp(z / T), with the largest z taken out before the exponentials, so that none overflows.
 * @param logits at least one
 */
export function softSum(logits: Float32Array, temperature: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < logits.length; index++) {
    const value = logits[index] as number;
    if (value > largest) largest = value;
  }
  let sum = 0;
  for (let index = 0; index < logits.length; index++) {
    sum += Math.exp(((logits[index] as number) - largest) / temperature);
  }
  return largest + temperature * Math.log(sum);
}
