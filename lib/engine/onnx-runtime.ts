/** The one place that imports ONNX Runtime; it is loaded when the first model is. */
import type { InferenceSession } from 'onnxruntime-node';
import { StillhouseError } from '../base/errors.ts';

type Runtime = typeof import('onnxruntime-node');

export class OnnxSession {
  readonly #runtime: Runtime;
  readonly #session: InferenceSession;

  private constructor(runtime: Runtime, session: InferenceSession) {
    this.#runtime = runtime;
    this.#session = session;
  }

  /**
   * Loads a model that computes on the CPU.
   * @throws StillhouseError FAILED_PRECONDITION when ONNX Runtime cannot be loaded; INVALID_ARGUMENT with its message when it
   *   refuses the model.
   */
  static async open(model: Uint8Array): Promise<OnnxSession> {
    const runtime = await loadRuntime();
    try {
      // Severity 3: errors only; the others would write to this process's standard error.
      const session = await runtime.InferenceSession.create(model, { logSeverityLevel: 3 });
      return new OnnxSession(runtime, session);
    } catch (cause) {
      const message = `ONNX Runtime refuses the model: ${(cause as Error).message}`;
      throw new StillhouseError('INVALID_ARGUMENT', message, { cause });
    }
  }

  /** Feeds the only input, and answers all outputs, which are float32, by name. */
  async run(values: Float32Array, shape: readonly number[]): Promise<Map<string, Float32Array>> {
    const [input] = this.#session.inputNames as [string];
    const tensor = new this.#runtime.Tensor('float32', values, shape);
    const outputs = await this.#session.run({ [input]: tensor });
    return new Map(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]));
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}

async function loadRuntime(): Promise<Runtime> {
  try {
    return await import('onnxruntime-node');
  } catch (cause) {
    const message = `cannot load ONNX Runtime: ${(cause as Error).message}`;
    throw new StillhouseError('FAILED_PRECONDITION', message, {
      hint: 'its binary for this platform is part of the npm package onnxruntime-node: run `npm run setup`',
      cause,
    });
  }
}
