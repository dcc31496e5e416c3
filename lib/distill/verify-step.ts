/**
 * A compiled step proves itself against eager execution, on two different random batches per shape: one batch could not
 * reveal a constant that was baked into the graph.
 */
import { StillhouseError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import type { Precision } from '../engine/precision.ts';
import { countStepNumbers, type GradientPlan } from './batch-gradient.ts';
import { eagerSums, type ModelState } from './eager-step.ts';
import { needsTeacher } from './loss.ts';
import { imageShape, type MicroBatch, type ProgramSpec } from './step-spec.ts';

/**
 * How far the compiled vector may be from the eager one, relative to its norm. In float32 only the orders of summation
 * differ; in 16 bits every activation is rounded, to 8 or 11 bits, and errors grow with depth.
 */
const TOLERANCES: Record<Precision, number> = { float32: 1e-4, bfloat16: 0.5, float16: 0.1 };
const BATCHES_PER_SHAPE = 2;

/**
 * @param state at which both compute
 * @throws FAILED_PRECONDITION when they differ
 */
export function verifySums(
  spec: ProgramSpec,
  plan: GradientPlan,
  state: ModelState,
  compiled: (batch: MicroBatch, numbers: Float32Array) => Float32Array,
  random: Random,
): void {
  const tolerance = TOLERANCES[plan.training.precision];
  for (const size of plan.training.batchSizes) {
    for (let round = 0; round < BATCHES_PER_SHAPE; round++) {
      const batch = randomBatch(spec, plan, size, round, random);
      const numbers = Float32Array.from({ length: countStepNumbers(plan.training) }, () => 1 + 2 * random.nextFloat());
      const expected = eagerSums(spec, plan, state, batch, numbers);
      const distance = relativeDistance(compiled(batch, numbers), expected);
      if (distance <= tolerance) continue;
      const { name } = spec.model.architecture;
      const message = `the compiled step of ${name} differs from eager execution by ${distance} (micro-batch ${size})`;
      throw new StillhouseError('FAILED_PRECONDITION', message, {
        hint: 'does a layer or a loss take a value from JavaScript that changes from call to call?',
      });
    }
  }
}

function randomBatch(spec: ProgramSpec, plan: GradientPlan, count: number, step: number, random: Random): MicroBatch {
  const { height, width, channels } = imageShape(spec);
  const { classes } = spec.model;
  const withTeacher = needsTeacher(plan.training.loss.terms);
  return {
    step,
    lane: random.nextInt(1024),
    count,
    images: Float32Array.from({ length: count * height * width * channels }, () => 255 * random.nextFloat()),
    labels: Int32Array.from({ length: count }, () => random.nextInt(classes)),
    teacherLogits: withTeacher ? Float32Array.from({ length: count * classes }, () => random.nextNormal()) : null,
  };
}

/** Not a number, and so beyond any tolerance, when either vector is not finite. */
function relativeDistance(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  let norm = 0;
  for (let index = 0; index < b.length; index++) {
    difference += ((a[index] as number) - (b[index] as number)) ** 2;
    norm += (b[index] as number) ** 2;
  }
  return Math.sqrt(difference / Math.max(norm, Number.MIN_VALUE));
}
