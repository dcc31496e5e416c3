import test from 'ava';
import type { ProgramSpec } from '../../../lib/distill/step-spec.ts';
import { architectureNamed } from '../../../lib/model/zoo.ts';

test('steps and predictions of the plain engine leave no tensors behind', async (t) => {
  process.env.STILLHOUSE_ENGINE = 'plain';
  const { tf } = await import('../../../lib/engine/tf.ts');
  const { PlainProgram } = await import('../../../lib/distill/plain-program.ts');
  const { describeModel, initialParameters } = await import('../../../lib/model/parameters.ts');
  const spec: ProgramSpec = {
    model: describeModel(architectureNamed('resnet-8'), { height: 8, width: 8, channels: 3 }, 3),
    preprocessing: { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
    training: {
      loss: { terms: [{ type: 'kl', weight: 1 }], temperature: 4 },
      optimizer: { type: 'adam', learningRate: 0.01, weightDecay: 0, schedule: { type: 'constant', warmupSteps: 0 } },
      totalSteps: 5,
      batchSizes: [2],
      fineTune: 'all',
      precision: 'float32',
      compile: 'auto',
      seed: 1,
    },
    predictBatchSizes: [2],
  };
  const program = new PlainProgram(spec);
  t.is(tf.getBackend(), 'cpu');
  program.write('parameters', initialParameters(spec.model, 1));
  const batch = {
    step: 0,
    lane: 0,
    count: 2,
    images: Float32Array.from({ length: 2 * 192 }, (_, index) => index % 256),
    labels: Int32Array.of(0, 2),
    teacherLogits: Float32Array.of(1, 2, 3, 3, 2, 1),
  };
  const before = tf.memory().numTensors;
  for (let step = 0; step < 5; step++) {
    t.true(program.loneStep({ ...batch, step }).hasFiniteGradients);
    program.predict(batch.images, 2);
  }
  t.is(tf.memory().numTensors, before);
  program.close();
  t.is(before, 0);
});
