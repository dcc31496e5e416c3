/**
 * A compiled step proves itself against eager execution, tensor by tensor, on two different random batches per shape: one
 * batch could not reveal a constant that was baked into the graph.
 */
import { StillhouseError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import type { Precision } from '../engine/precision.ts';
import { countStepNumbers, type GradientPlan, sizeOf } from './batch-gradient.ts';
import { eagerSums, type ModelState } from './eager-step.ts';
import { TAIL } from './logits/top-k.ts';
import { needsTeacher } from './loss-spec.ts';
import { imageShape, type MicroBatch, NO_LABEL, type ProgramSpec } from './step-spec.ts';

/**
 * How far compiled values may be from the eager ones, relative to their norm. In float32 only the orders of summation
 * differ. Loss and statistics are continuous in that, and held to little; a gradient jumps where a rounding turns a ReLU or
 * another place wins a maximum, which in deep nets has moved single tensors by a few hundredths.
 */
const LOSS_TOLERANCE = 1e-4;
const STATISTICS_TOLERANCE = 1e-3;
const GRADIENT_TOLERANCE = 0.05;
/** Tensors whose gradients are noise beside the others' are compared with this share of all gradients' norm instead. */
const NEGLIGIBLE = 1e-2;
/**
 * In 16 bits every activation is rounded, to 8 or 11 bits, and errors grow with depth: all gradients together are compared,
 * which finds what is grossly wrong. The float32 graph of the same step has been held to the limits above by then.
 */
const LOW_TOLERANCES: Record<Exclude<Precision, 'float32'>, number> = { bfloat16: 0.5, float16: 0.1 };
const BATCHES_PER_SHAPE = 2;

/** Computes one step eagerly. @throws what the model or the loss throws */
export function tryEager(spec: ProgramSpec, plan: GradientPlan, state: ModelState, random: Random): void {
  const size = plan.training.batchSizes[0] as number;
  eagerSums(spec, plan, state, randomBatch(spec, plan, size, 0, random), randomNumbers(plan, random));
}

/**
 * @param state at which both compute
 * @throws FAILED_PRECONDITION when they differ, naming the tensor
 */
export function verifySums(
  spec: ProgramSpec,
  plan: GradientPlan,
  state: ModelState,
  compiled: (batch: MicroBatch, numbers: Float32Array) => Float32Array,
  random: Random,
): void {
  for (const size of plan.training.batchSizes) {
    for (let round = 0; round < BATCHES_PER_SHAPE; round++) {
      const batch = randomBatch(spec, plan, size, round, random);
      const numbers = randomNumbers(plan, random);
      const expected = eagerSums(spec, plan, state, batch, numbers);
      const difference = firstDifference(plan, compiled(batch, numbers), expected);
      if (difference === undefined) continue;
      const { name } = spec.model.architecture;
      const message = `the compiled step of ${name} differs from eager execution (micro-batch ${size}): ${difference}`;
      throw new StillhouseError('FAILED_PRECONDITION', message, {
        hint: 'does a layer or a loss take a value from JavaScript that changes from call to call?',
      });
    }
  }
}

/** The first part that is too far from what is expected, and how far; undefined when none is. */
function firstDifference(plan: GradientPlan, actual: Float32Array, expected: Float32Array): string | undefined {
  const gradientSize = sizeOf(plan.trainable);
  const whole = norm(expected.subarray(0, gradientSize));
  let offset = 0;
  for (const { name, size, tolerance, floor } of partsOf(plan)) {
    const wanted = expected.subarray(offset, offset + size);
    const distance = norm(wanted.map((value, index) => value - (actual[offset + index] as number)));
    const scale = Math.max(norm(wanted), floor * whole);
    // Not a number is beyond any tolerance.
    if (!(distance <= tolerance * scale)) return `${name} by ${distance} of ${scale}`;
    offset += size;
  }
  return undefined;
}

/** The vector's parts in order, each with its tolerance and the share of all gradients' norm that it is at least held to. */
function partsOf({ trainable, statistics, training }: GradientPlan) {
  if (training.precision !== 'float32') {
    const tolerance = LOW_TOLERANCES[training.precision];
    return [{ name: 'the gradients', size: sizeOf(trainable), tolerance, floor: 0 }];
  }
  return [
    ...trainable.map(({ name, size }) => ({ name, size, tolerance: GRADIENT_TOLERANCE, floor: NEGLIGIBLE })),
    ...statistics.map(({ name, size }) => ({ name, size, tolerance: STATISTICS_TOLERANCE, floor: 0 })),
    { name: 'the loss', size: 1, tolerance: LOSS_TOLERANCE, floor: 0 },
  ];
}

function norm(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));
}

function randomNumbers({ training }: GradientPlan, random: Random): Float32Array {
  return Float32Array.from({ length: countStepNumbers(training) }, () => 1 + 2 * random.nextFloat());
}

function randomLabel({ training }: GradientPlan, classes: number, random: Random): number {
  return training.unlabelled === true && random.nextInt(2) === 0 ? NO_LABEL : random.nextInt(classes);
}

/** A third of the samples is all its own. */
function randomShares(count: number, random: Random): Float32Array {
  return Float32Array.from({ length: count }, () => (random.nextInt(3) === 0 ? 1 : random.nextFloat()));
}

/** A third of the logits is left out. */
function withoutSome(logits: Float32Array, random: Random): Float32Array {
  return logits.map((logit) => (random.nextInt(3) === 0 ? TAIL : logit));
}

function randomBatch(spec: ProgramSpec, plan: GradientPlan, count: number, step: number, random: Random): MicroBatch {
  const { height, width, channels } = imageShape(spec);
  const { classes } = spec.model;
  const { loss, mixed, tails } = plan.training;
  const withTeacher = needsTeacher(loss.terms);
  const normals = (length: number) => Float32Array.from({ length }, () => random.nextNormal());
  const teacherLogits = withTeacher ? normals(count * classes) : null;
  const labels = () => Int32Array.from({ length: count }, () => randomLabel(plan, classes, random));
  return {
    step,
    lane: random.nextInt(1024),
    count,
    images: Float32Array.from({ length: count * height * width * channels }, () => 255 * random.nextFloat()),
    labels: labels(),
    mixed: mixed === true ? { labels: labels(), shares: randomShares(count, random) } : null,
    teacherLogits: teacherLogits !== null && tails === true ? withoutSome(teacherLogits, random) : teacherLogits,
    teacherTails: tails === true ? normals(count * loss.terms.length) : null,
  };
}
