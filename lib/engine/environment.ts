/**
 * What TensorFlow reads from the process's environment when its library is loaded. There is no other way to set these, and
 * a worker thread's copy of the environment does not reach the library: call this on the main thread before any compute
 * thread is started.
 */
export interface EngineSettings {
  /** Threads that one operation may use; part of what makes two workers compute bit-identically. */
  readonly intraOpThreads: number;
  /** Operations that may run at the same time. */
  readonly interOpThreads: number;
}

export function configureEngine(settings: EngineSettings): void {
  process.env.TF_NUM_INTRAOP_THREADS = String(settings.intraOpThreads);
  process.env.TF_NUM_INTEROP_THREADS = String(settings.interOpThreads);
  // oneDNN and Eigen size their own pools by OpenMP's variable where they are built with it.
  process.env.OMP_NUM_THREADS = String(settings.intraOpThreads);
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';
}
