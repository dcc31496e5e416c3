import test from 'ava';
import { every, monotonicMs } from '../../../lib/base/clock.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { Compute } from '../../../lib/distill/compute.ts';
import type { ProgramSpec } from '../../../lib/distill/step-spec.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import { describeModel, initialParameters, initialStatistics } from '../../../lib/model/parameters.ts';
import { architectureNamed } from '../../../lib/model/zoo.ts';

const model = describeModel(architectureNamed('resnet-20'), { height: 32, width: 32, channels: 3 }, 10);
const spec: ProgramSpec = {
  model,
  preprocessing: { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
  training: null,
  predictBatchSizes: [256],
};

test('the event loop goes on while the compute thread is busy', async (t) => {
  configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
  const compute = new Compute();
  t.teardown(() => compute.close());
  t.regex(await compute.fingerprint(), /^tensorflow-2\.[0-9.]+\/cpu\/.*\/threads-1$/);
  const program = await compute.open(spec);
  await program.write('parameters', initialParameters(model, 1));
  await program.write('statistics', initialStatistics(model));
  let ticks = 0;
  const stop = every(5, () => (ticks += 1));
  const startedMs = monotonicMs();
  const answers = await Promise.all([1, 2, 3, 4].map(() => program.predict(new Float32Array(256 * 3072), 256)));
  const busyMs = monotonicMs() - startedMs;
  stop();
  t.is(answers.length, 4);
  // A blocked loop would not have ticked at all; a shared core costs some of the ticks.
  t.true(ticks > busyMs / 5 / 10, `${ticks} ticks in ${busyMs} ms`);
});

test('errors of the thread arrive as what they are, and the end of the thread rejects what waits', async (t) => {
  const compute = new Compute();
  const program = await compute.open(spec);
  const error = await t.throwsAsync(
    program.sums({
      step: 0,
      lane: 0,
      count: 1,
      images: new Float32Array(3072),
      labels: new Int32Array(1),
      teacherLogits: null,
    }),
  );
  t.true(error instanceof StillhouseError);
  t.regex(error?.message ?? '', /only predicts/);
  const waiting = program.predict(new Float32Array(256 * 3072), 256);
  const closing = compute.close();
  await t.throwsAsync(waiting, { message: /the compute thread has ended/ });
  await closing;
  await t.throwsAsync(compute.fingerprint(), { message: /the compute thread has ended/ });
});
