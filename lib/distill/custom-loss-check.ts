/** A custom loss proves itself before it trains: on a small random batch its gradient is the slope of its values. */
import { StillhouseError } from '../base/errors.ts';
import { createRandom, hashName, type Random } from '../base/random.ts';
import { withRandomKey } from '../engine/random.ts';
import { type Tensor, tf } from '../engine/tf.ts';
import type { CustomLossFunction } from './loss.ts';
import { scheduledValue } from './loss-schedule.ts';
import type { CustomTerm, Loss } from './loss-spec.ts';

const SAMPLES = 6;
const DIRECTIONS = 6;
/** Moves of every logit. float32 is too coarse for small ones, curves are too round for large ones: the best one counts. */
const MOVES = [3e-2, 1e-2, 3e-3, 1e-3];
/** How far gradient and slope may be apart, relative to the gradient's norm. */
const TOLERANCE = 1e-2;
/** Rounding errors of a float32 sum, relative to its terms. */
const ROUNDING = 3e-7;

/**
 * @param customs by digest
 * @param classes of the student
 * @throws INVALID_ARGUMENT naming the loss when it fails, answers another shape or what is not finite, or has no or a wrong
 *   gradient
 */
export function checkCustomLosses(
  { terms, temperature }: Loss,
  customs: ReadonlyMap<string, CustomLossFunction>,
  classes: number,
  totalSteps: number,
): void {
  for (const term of terms) {
    if (term.type !== 'custom') continue;
    const compute = customs.get(term.digest);
    if (compute === undefined) {
      throw new StillhouseError('FAILED_PRECONDITION', `the loss ${term.name} (${term.digest}) has not been loaded`);
    }
    const softening = scheduledValue(term.temperature ?? temperature, 0, totalSteps);
    tf.tidy(() => checkGradient(term, compute, classes, softening));
  }
}

function checkGradient(term: CustomTerm, compute: CustomLossFunction, classes: number, temperature: number): void {
  const { name, parameters, needsTeacher } = term;
  const random = createRandom(hashName(term.digest));
  const student = normals(SAMPLES * classes, random);
  const teacherLogits = needsTeacher ? matrix(normals(SAMPLES * classes, random), classes) : null;
  const labels = tf.tensor1d(
    Array.from({ length: SAMPLES }, () => random.nextInt(classes)),
    'int32',
  );
  const fixed = {
    teacherLogits,
    labels,
    targets: tf.cast(tf.oneHot(labels, classes), 'float32'),
    temperature: tf.scalar(temperature),
    parameters,
  };
  const key = tf.tensor1d([hashName(name) | 0, 1], 'int32');
  // Every evaluation draws the same random numbers.
  const perSample = (logits: Tensor) => withRandomKey(key, () => compute({ logits, ...fixed }));
  const logits = matrix(student, classes);
  // First without a gradient: what fails there would leave the tape's tensors behind.
  const value = perSample(logits).dataSync() as Float32Array;
  if (!value.every(Number.isFinite)) throw wrong(name, `its values are not finite: ${[...value].join(', ')}`);
  const slope = gradientOf(name, perSample, logits);
  if (!slope.every(Number.isFinite)) throw wrong(name, 'its gradient is not finite');
  const norm = Math.hypot(...slope);
  if (norm === 0) throw wrong(name, 'its gradient is 0 on a random batch: nothing would be learnt from it');
  for (let round = 0; round < DIRECTIONS; round++) {
    const direction = Float32Array.from(slope, () => (random.nextInt(2) === 0 ? -1 : 1));
    const exact = slope.reduce((sum, entry, index) => sum + entry * (direction[index] as number), 0);
    const at = (move: number) => {
      const moved = student.map((logit, index) => logit + move * (direction[index] as number));
      const values = perSample(matrix(moved, classes)).dataSync() as Float32Array;
      return values.reduce((sum, entry) => sum + entry, 0);
    };
    const size = value.reduce((sum, entry) => sum + Math.abs(entry), 0);
    const misses = MOVES.map((move) => {
      const numeric = (at(move) - at(-move)) / (2 * move);
      return { numeric, excess: Math.abs(numeric - exact) - TOLERANCE * norm - (ROUNDING * size) / move };
    });
    const best = misses.reduce((a, b) => (b.excess < a.excess ? b : a));
    // Written so that a slope that is not a number fails.
    if (!(best.excess <= 0)) {
      throw wrong(
        name,
        `its gradient is not the slope of its values: ${exact} along a direction, measured ${best.numeric}`,
      );
    }
  }
}

function gradientOf(name: string, perSample: (logits: Tensor) => Tensor, logits: Tensor): Float32Array {
  try {
    return tf
      .grad((z: Tensor) => tf.sum(perSample(z)))(logits)
      .dataSync() as Float32Array;
  } catch (error) {
    // The loss's own failures name it already.
    if (error instanceof StillhouseError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    const isApart = /encloses all operations that lead from x to y/.test(reason);
    throw wrong(name, isApart ? 'its values do not depend on the student’s logits' : `it has no gradient: ${reason}`);
  }
}

function wrong(name: string, problem: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `the loss ${name} is refused: ${problem}`);
}

function normals(length: number, random: Random): Float32Array {
  return Float32Array.from({ length }, () => 2 * random.nextNormal());
}

function matrix(values: Float32Array, classes: number): tf.Tensor2D {
  return tf.tensor2d(values, [SAMPLES, classes]);
}
