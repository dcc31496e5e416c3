/** The symmetric beta distribution. */
import { invariant } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';

/**
 * Draws from Beta(alpha, alpha) as X / (X + Y) of two gamma variates. In logarithms, since for a small alpha both are often
 * too small for a number.
 *
 * @param alpha above 0
 * @returns 0..1
 */
export function drawBeta(alpha: number, random: Random): number {
  invariant(alpha > 0, 'a beta distribution has positive parameters');
  // Gamma(alpha) = Gamma(alpha + 1) · U^(1/alpha), which the method below needs for an alpha below 1.
  const isSmall = alpha < 1;
  const shape = isSmall ? alpha + 1 : alpha;
  let difference = drawLogGamma(shape, random) - drawLogGamma(shape, random);
  if (isSmall) difference += (Math.log(1 - random.nextFloat()) - Math.log(1 - random.nextFloat())) / alpha;
  return 1 / (1 + Math.exp(difference));
}

/**
 * The logarithm of a gamma variate over `shape - 1/3` (Marsaglia and Tsang 2000, "A simple method for generating gamma
 * variables"). @param shape at least 1
 */
function drawLogGamma(shape: number, random: Random): number {
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const normal = random.nextNormal();
    if (c * normal <= -1) continue;
    const logV = 3 * Math.log1p(c * normal);
    if (Math.log(1 - random.nextFloat()) < (normal * normal) / 2 + d * (1 - Math.exp(logV) + logV)) return logV;
  }
}
