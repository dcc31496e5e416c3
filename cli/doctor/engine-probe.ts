/**
 * Loads the engine as a worker does, compiles one step, runs it for a moment and reports. A program of its own: a native
 * library that crashes (a processor without AVX, say) ends this process, and the doctor tells of it.
 */
import { readFileSync } from 'node:fs';
import { monotonicMs } from '../../lib/base/clock.ts';
import { announceReady, runProcess } from '../../lib/base/process.ts';
import { createRandom } from '../../lib/base/random.ts';
import { Compute, type Program } from '../../lib/distill/compute.ts';
import type { MicroBatch, ProgramSpec } from '../../lib/distill/step-spec.ts';
import { configureEngine, engineSettings } from '../../lib/engine/environment.ts';
import { describeModel, initialParameters } from '../../lib/model/parameters.ts';
import { architectureNamed } from '../../lib/model/zoo.ts';
import type { ProbeReport } from './probe-report.ts';

const ARCHITECTURE = 'simple-cnn';
const INPUT = { height: 32, width: 32, channels: 3 } as const;
const CLASSES = 10;
const MICRO_BATCH = 64;
const SEED = 1;
/** Steps are timed until both are reached. */
const STEPS_MIN = 5;
const TIMED_MS = 500;
const WARM_UP_STEPS = 3;

await runProcess('engine-probe', async ({ settings }) => {
  configureEngine(engineSettings(settings));
  const compute = new Compute();
  try {
    const fingerprint = await compute.fingerprint();
    const loadedMs = monotonicMs();
    const program = await compute.open(stepSpec());
    const compiledMs = monotonicMs();
    const stepMs = await timeSteps(program);
    const report: ProbeReport = {
      fingerprint,
      loadedMs,
      compiledMs,
      eagerReason: program.mode?.kind === 'eager' ? program.mode.reason : null,
      architecture: ARCHITECTURE,
      microBatch: MICRO_BATCH,
      stepMs,
      residentBytes: process.memoryUsage.rss(),
      library: tensorflowLibrary(),
    };
    announceReady(report);
  } finally {
    await compute.close();
  }
});

/** A distillation step as a student takes it. */
function stepSpec(): ProgramSpec {
  return {
    model: describeModel(architectureNamed(ARCHITECTURE), INPUT, CLASSES),
    preprocessing: { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
    training: {
      loss: {
        terms: [
          { type: 'kl', weight: 0.9 },
          { type: 'cross-entropy', weight: 0.1 },
        ],
        temperature: 4,
      },
      optimizer: {
        type: 'sgd',
        learningRate: 0.01,
        momentum: 0.9,
        nesterov: false,
        weightDecay: 0,
        schedule: { type: 'constant', warmupSteps: 0 },
      },
      totalSteps: 1,
      batchSizes: [MICRO_BATCH],
      fineTune: 'all',
      precision: 'float32',
      compile: 'auto',
      seed: SEED,
    },
    predictBatchSizes: [],
  };
}

/** @returns milliseconds of one step, the median */
async function timeSteps(program: Program): Promise<number> {
  await program.write('parameters', initialParameters(program.spec.model, SEED));
  const random = createRandom(SEED);
  const length = MICRO_BATCH * INPUT.height * INPUT.width * INPUT.channels;
  const images = Float32Array.from({ length }, () => 255 * random.nextFloat());
  const batch = (step: number): MicroBatch => ({
    step,
    lane: 0,
    count: MICRO_BATCH,
    // A step takes its images away.
    images: images.slice(),
    labels: Int32Array.from({ length: MICRO_BATCH }, () => random.nextInt(CLASSES)),
    teacherLogits: Float32Array.from({ length: MICRO_BATCH * CLASSES }, () => random.nextNormal()),
  });
  for (let step = 0; step < WARM_UP_STEPS; step++) await program.sums(batch(step));
  const times: number[] = [];
  const startMs = monotonicMs();
  while (times.length < STEPS_MIN || monotonicMs() - startMs < TIMED_MS) {
    const next = batch(WARM_UP_STEPS + times.length);
    const stepStartMs = monotonicMs();
    await program.sums(next);
    times.push(monotonicMs() - stepStartMs);
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)] as number;
}

function tensorflowLibrary(): string | null {
  if (process.platform !== 'linux') return null;
  return /(\/.*libtensorflow_cc\.so\S*)/.exec(readFileSync('/proc/self/maps', 'utf8'))?.[1] ?? null;
}
