/**
 * What TensorFlow reads from the process's environment when its library is loaded. There is no other way to set these, and
 * a worker thread's copy of the environment does not reach the library: call `configureEngine` on the main thread before
 * any compute thread is started.
 */
import { StillhouseError } from '../base/errors.ts';
import { availableCores } from '../base/machine.ts';
import { Settings } from '../base/settings.ts';
import { parseDevice, visibleDevices } from './devices.ts';

const ENGINE_CHOICES = ['auto', 'native', 'plain'] as const;

/** `native`: TensorFlow's library; `plain`: TensorFlow.js, slowly; `auto`: the first that can be had. */
export type EngineChoice = (typeof ENGINE_CHOICES)[number];

export interface EngineSettings {
  /** Threads that one operation may use; part of what makes two workers compute bit-identically. */
  readonly intraOpThreads: number;
  /** Operations that may run at the same time. */
  readonly interOpThreads: number;
  /** `auto` (a GPU where there is one), `cpu`, `gpu` or `gpu:<number>`; default `auto`. */
  readonly device?: string;
  /** Take the GPU's memory as it is needed, or all of it at once; default `grow`. */
  readonly gpuMemory?: 'grow' | 'all';
  /** Default: as the process was started. */
  readonly engine?: EngineChoice;
}

/**
 * The engine's settings of a process: `STILLHOUSE_THREADS`, `STILLHOUSE_INTER_OP_THREADS`, `STILLHOUSE_DEVICE`,
 * `STILLHOUSE_GPU_MEMORY`, `STILLHOUSE_ENGINE`. A process that is told nothing takes all processors that it may use.
 *
 * @throws INVALID_ARGUMENT, naming the variable
 */
export function engineSettings(settings: Settings): EngineSettings {
  const cores = availableCores();
  const range = { min: 1, max: 4 * cores };
  const device = settings.text('STILLHOUSE_DEVICE', 'auto');
  if (parseDevice(device) === undefined) {
    const message = `the environment variable STILLHOUSE_DEVICE is "${device}", expected auto, cpu, gpu or gpu:<number>`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: 'STILLHOUSE_DEVICE' });
  }
  return {
    intraOpThreads: settings.integer('STILLHOUSE_THREADS', cores, range),
    interOpThreads: settings.integer('STILLHOUSE_INTER_OP_THREADS', 1, range),
    device,
    gpuMemory: settings.oneOf('STILLHOUSE_GPU_MEMORY', 'grow', ['grow', 'all']),
    engine: choiceOf(settings),
  };
}

function choiceOf(settings: Settings): EngineChoice {
  return settings.oneOf('STILLHOUSE_ENGINE', 'auto', ENGINE_CHOICES);
}

/** The engine that this thread shall load. @throws INVALID_ARGUMENT, naming the variable */
export function engineChoice(): EngineChoice {
  return choiceOf(new Settings(process.env));
}

/** As `configureEngine` has set it, for libraries beside TensorFlow; undefined where it was not called. */
export function intraOpThreads(): number | undefined {
  const threads = Number(process.env.TF_NUM_INTRAOP_THREADS);
  return threads > 0 ? threads : undefined;
}

/** @throws INVALID_ARGUMENT for a GPU that `CUDA_VISIBLE_DEVICES` does not have */
export function configureEngine({
  intraOpThreads,
  interOpThreads,
  device = 'auto',
  gpuMemory = 'grow',
  engine,
}: EngineSettings): void {
  const { env } = process;
  // The compute thread, which has a copy of the environment, loads the engine by it.
  if (engine !== undefined) env.STILLHOUSE_ENGINE = engine;
  env.TF_NUM_INTRAOP_THREADS = String(intraOpThreads);
  env.TF_NUM_INTEROP_THREADS = String(interOpThreads);
  // oneDNN and Eigen size their own pools by OpenMP's variable where they are built with it.
  env.OMP_NUM_THREADS = String(intraOpThreads);
  env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  // oneDNN's primitives are kept from step to step instead of being made anew for the larger layers.
  env.TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE ??= 'false';
  // By it the compute thread, which has a copy of the environment, refuses to go on without a GPU that was asked for.
  env.STILLHOUSE_DEVICE = device;
  env.CUDA_VISIBLE_DEVICES = visibleDevices(device, env.CUDA_VISIBLE_DEVICES);
  // GPUs by their place on the bus, as nvidia-smi numbers them, and not the fastest first.
  env.CUDA_DEVICE_ORDER ??= 'PCI_BUS_ID';
  env.TF_FORCE_GPU_ALLOW_GROWTH = String(gpuMemory === 'grow');
  // Without it NVIDIA's libraries round 32-bit factors to 10 bits of mantissa. Whoever wants that asks for mixed precision.
  env.NVIDIA_TF32_OVERRIDE ??= '0';
}
