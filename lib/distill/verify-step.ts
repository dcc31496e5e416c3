/**
 * A compiled step proves itself against eager execution, on two different random batches per shape: one batch could not
 * reveal a constant that was baked into the graph.
 */
import { StillhouseError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { withTensors } from '../engine/scope.ts';
import { tf } from '../engine/tf.ts';
import type { ModelSpec } from '../model/parameters.ts';
import { microBatchSums } from './batch-gradient.ts';
import { needsTeacher } from './loss.ts';
import type { MicroBatch, ProgramSpec, TrainingSpec } from './step-spec.ts';

/** How far the compiled vector may be from the eager one, relative to its norm: the orders of summation differ. */
const TOLERANCE = 1e-4;
const BATCHES_PER_SHAPE = 2;

/**
 * @param parameters the flat vector at which both compute
 * @throws FAILED_PRECONDITION when they differ
 */
export function verifySums(
  spec: ProgramSpec,
  training: TrainingSpec,
  parameters: Float32Array,
  compiled: (batch: MicroBatch, temperature: number) => Float32Array,
  random: Random,
): void {
  for (const size of training.batchSizes) {
    for (let round = 0; round < BATCHES_PER_SHAPE; round++) {
      const batch = randomBatch(spec.model, size, needsTeacher(training.terms), random);
      const temperature = 1 + 2 * random.nextFloat();
      const expected = eagerSums(spec, training, parameters, batch, temperature);
      const distance = relativeDistance(compiled(batch, temperature), expected);
      if (distance <= TOLERANCE) continue;
      const { name } = spec.model.architecture;
      const message = `the compiled step of ${name} differs from eager execution by ${distance} (micro-batch ${size})`;
      throw new StillhouseError('FAILED_PRECONDITION', message);
    }
  }
}

function eagerSums(
  { model, preprocessing }: ProgramSpec,
  training: TrainingSpec,
  parameters: Float32Array,
  batch: MicroBatch,
  temperature: number,
): Float32Array {
  const { height, width, channels } = model.input;
  return withTensors((keep) => {
    let offset = 0;
    const tensors = model.parameters.map(({ shape, size }) => {
      const values = parameters.subarray(offset, offset + size);
      offset += size;
      return keep(tf.tensor(values, [...shape]));
    });
    const inputs = {
      images: keep(tf.tensor4d(batch.images, [batch.count, height, width, channels])),
      labels: keep(tf.tensor1d(batch.labels, 'int32')),
      teacherLogits:
        batch.teacherLogits === null ? null : keep(tf.tensor2d(batch.teacherLogits, [batch.count, model.classes])),
      temperature: keep(tf.scalar(temperature)),
      weights: training.terms.map(({ weight }) => keep(tf.scalar(weight))),
    };
    const sums = keep(tf.tidy(() => microBatchSums(model, preprocessing, training.terms, tensors, inputs)));
    return sums.dataSync() as Float32Array;
  });
}

function randomBatch(model: ModelSpec, count: number, withTeacher: boolean, random: Random): MicroBatch {
  const { height, width, channels } = model.input;
  return {
    count,
    images: Float32Array.from({ length: count * height * width * channels }, () => 255 * random.nextFloat()),
    labels: Int32Array.from({ length: count }, () => random.nextInt(model.classes)),
    teacherLogits: withTeacher ? Float32Array.from({ length: count * model.classes }, () => random.nextNormal()) : null,
  };
}

function relativeDistance(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  let norm = 0;
  for (let index = 0; index < b.length; index++) {
    difference += ((a[index] as number) - (b[index] as number)) ** 2;
    norm += (b[index] as number) ** 2;
  }
  return Math.sqrt(difference / Math.max(norm, Number.MIN_VALUE));
}
