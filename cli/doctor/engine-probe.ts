/**
 * Loads the engine as a worker does, compiles one step, runs it for a moment and reports: engine-probe [MILLISECONDS], the
 * time of the speed test. A program of its own: a native library that crashes (a processor without AVX, say) ends this
 * process, and the doctor tells of it.
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
const PREDICT_BATCH = 256;
const SEED = 1;
/** Half of it for training, half for prediction. */
const TEST_MS = Number(process.argv[2] ?? '0');
/** However short the test is; plain TensorFlow.js takes seconds for each. */
const REPEATS_MIN = { native: 5, plain: 1 } as const;
const WARM_UP = { native: 3, plain: 1 } as const;

await runProcess('engine-probe', async ({ settings }) => {
  configureEngine(engineSettings(settings));
  const compute = new Compute();
  try {
    const fingerprint = await compute.fingerprint();
    const loadedMs = monotonicMs();
    const program = await compute.open(stepSpec());
    const compiledMs = monotonicMs();
    const kind = fingerprint.startsWith('tensorflowjs-') ? 'plain' : 'native';
    await program.write('parameters', initialParameters(program.spec.model, SEED));
    for (const slot of program.slots) await program.write(slot, new Float32Array(program.slotSize));
    const stepMs = await timeCalls(kind, trainingStep(program));
    const predictMs = await timeCalls(kind, prediction(program));
    const report: ProbeReport = {
      fingerprint,
      loadedMs,
      compiledMs,
      eagerReason: program.mode?.kind === 'eager' ? program.mode.reason : null,
      architecture: ARCHITECTURE,
      microBatch: MICRO_BATCH,
      stepMs,
      predictBatch: PREDICT_BATCH,
      predictMs,
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
      totalSteps: 1_000_000,
      batchSizes: [MICRO_BATCH],
      fineTune: 'all',
      precision: 'float32',
      compile: 'auto',
      seed: SEED,
    },
    predictBatchSizes: [PREDICT_BATCH],
  };
}

/** A training step of one worker on random images: the gradients of a micro-batch, then the update. */
function trainingStep(program: Program): (index: number) => Promise<void> {
  const random = createRandom(SEED);
  const images = randomImages(MICRO_BATCH);
  return async (step) => {
    const batch: MicroBatch = {
      step,
      lane: 0,
      count: MICRO_BATCH,
      // A step takes its images away.
      images: images.slice(),
      labels: Int32Array.from({ length: MICRO_BATCH }, () => random.nextInt(CLASSES)),
      teacherLogits: Float32Array.from({ length: MICRO_BATCH * CLASSES }, () => random.nextNormal()),
    };
    await program.loneStep(batch);
  };
}

function prediction(program: Program): () => Promise<void> {
  const images = randomImages(PREDICT_BATCH);
  return async () => {
    await program.predict(images.slice(), PREDICT_BATCH);
  };
}

function randomImages(count: number): Float32Array {
  const random = createRandom(SEED);
  const length = count * INPUT.height * INPUT.width * INPUT.channels;
  return Float32Array.from({ length }, () => 255 * random.nextFloat());
}

/** @returns milliseconds of one call, the median of those after the warm-up */
async function timeCalls(kind: 'native' | 'plain', call: (index: number) => Promise<void>): Promise<number> {
  for (let index = 0; index < WARM_UP[kind]; index++) await call(index);
  const times: number[] = [];
  const startMs = monotonicMs();
  while (times.length < REPEATS_MIN[kind] || monotonicMs() - startMs < TEST_MS / 2) {
    const callMs = monotonicMs();
    await call(WARM_UP[kind] + times.length);
    times.push(monotonicMs() - callMs);
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)] as number;
}

function tensorflowLibrary(): string | null {
  if (process.platform !== 'linux') return null;
  return /(\/.*libtensorflow_cc\.so\S*)/.exec(readFileSync('/proc/self/maps', 'utf8'))?.[1] ?? null;
}
