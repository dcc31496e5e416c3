/**
 * The `tf` that custom losses are given: TensorFlow.js, whose random operations are stateless here. Their numbers follow from
 * the key of the step (`withRandomKey`), so that a compiled step draws anew and any worker draws the same.
 */
import { StillhouseError } from '../base/errors.ts';
import { dropout, randomUniform } from '../engine/random.ts';
import { type Tensor, tf } from '../engine/tf.ts';
import type { LossTf } from './custom-loss-types.ts';

const OFFERED = 'tf.randomUniform, tf.randomNormal and tf.dropout are there, for float32';

function refused(what: string): StillhouseError {
  return new StillhouseError('UNIMPLEMENTED', `${what} has no form whose numbers follow from the job's seed`, {
    hint: OFFERED,
  });
}

function requireFloat(name: string, dtype: string): void {
  if (dtype !== 'float32') throw refused(`${name} of ${dtype}`);
}

/** Arguments that would be without effect. */
function requireNone(what: string, argument: unknown): void {
  if (argument !== undefined) throw refused(what);
}

function uniform(shape: number[], minval = 0, maxval = 1, dtype = 'float32', seed?: unknown): Tensor {
  requireFloat('tf.randomUniform', dtype);
  requireNone('tf.randomUniform with a seed of its own', seed);
  return tf.add(tf.mul(randomUniform(shape), maxval - minval), minval);
}

/** Box and Muller 1958. The uniform numbers are in [0, 1), so 1 - u has a logarithm. */
function normal(shape: number[], mean = 0, standardDeviation = 1, dtype = 'float32', seed?: unknown): Tensor {
  requireFloat('tf.randomNormal', dtype);
  requireNone('tf.randomNormal with a seed of its own', seed);
  const radius = tf.sqrt(tf.mul(tf.log(tf.sub(1, randomUniform(shape))), -2));
  const angle = tf.mul(randomUniform(shape), 2 * Math.PI);
  return tf.add(tf.mul(tf.mul(radius, tf.cos(angle)), standardDeviation), mean);
}

function inverted(x: Tensor, rate: number, noiseShape?: number[], seed?: unknown): Tensor {
  requireNone('tf.dropout with a noise shape', noiseShape);
  requireNone('tf.dropout with a seed of its own', seed);
  return dropout(x, rate);
}

const NOT_OFFERED = [
  'multinomial',
  'rand',
  'randomGamma',
  'randomStandardNormal',
  'randomUniformInt',
  'truncatedNormal',
] as const;

const refusals = NOT_OFFERED.map((name) => [
  name,
  () => {
    throw refused(`tf.${name}`);
  },
]);

export const customLossTf = {
  ...tf,
  randomUniform: uniform,
  randomNormal: normal,
  dropout: inverted,
  ...Object.fromEntries(refusals),
} as LossTf;
