/** The one place that imports ONNX Runtime; it is loaded when the first model is. */
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { StillhouseError } from '../base/errors.ts';
import { floatsOfHalves, halfBits } from '../base/float16.ts';
import { intraOpThreads } from './environment.ts';
import type { PortFact } from './ports.ts';

type Runtime = typeof import('onnxruntime-node');

/** Values of a tensor with its shape, row-major. */
export interface OnnxValues {
  readonly values: Float32Array;
  readonly shape: readonly number[];
}

interface Feed {
  readonly name: string;
  readonly values: Float32Array | Uint8Array;
  /** Row-major. */
  readonly shape: readonly number[];
}

export class OnnxSession {
  readonly #runtime: Runtime;
  readonly #session: InferenceSession;

  private constructor(runtime: Runtime, session: InferenceSession) {
    this.#runtime = runtime;
    this.#session = session;
  }

  /**
   * Loads a model that computes on the CPU, with as many threads as TensorFlow where those are set. It computes on the thread that
   * calls it, which answers nothing else meanwhile.
   * @param model its bytes, or the path to a file that may have its weights in others beside it
   * @throws StillhouseError FAILED_PRECONDITION when ONNX Runtime cannot be loaded; INVALID_ARGUMENT with its message when it
   *   refuses the model.
   */
  static async open(model: Uint8Array | string): Promise<OnnxSession> {
    const runtime = await loadRuntime();
    const threads = intraOpThreads();
    // Severity 3: errors only; the others would write to this process's standard error.
    const options = { logSeverityLevel: 3, ...(threads !== undefined && { intraOpNumThreads: threads }) } as const;
    try {
      const { InferenceSession } = runtime;
      const session = await (typeof model === 'string'
        ? InferenceSession.create(model, options)
        : InferenceSession.create(model, options));
      return new OnnxSession(runtime, session);
    } catch (cause) {
      const message = `ONNX Runtime refuses the model: ${(cause as Error).message}`;
      throw new StillhouseError('INVALID_ARGUMENT', message, { cause });
    }
  }

  get inputs(): readonly PortFact[] {
    return this.#session.inputMetadata.map(factOf);
  }

  get outputs(): readonly PortFact[] {
    return this.#session.outputMetadata.map(factOf);
  }

  /** Feeds the only input, and answers all outputs, which are float32, by name. */
  async run(values: Float32Array, shape: readonly number[]): Promise<Map<string, Float32Array>> {
    const [input] = this.#session.inputNames as [string];
    const tensor = new this.#runtime.Tensor('float32', values, shape);
    const outputs = await this.#session.run({ [input]: tensor });
    return new Map(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]));
  }

  /**
   * Feeds one input and answers one output. Floats are fed in half precision where the input takes no others.
   * @throws INVALID_ARGUMENT with the message of ONNX Runtime; DATA_LOSS for an output of other numbers than floating-point ones
   */
  async infer(input: Feed, output: string): Promise<OnnxValues> {
    const feed = this.#tensorOf(input);
    let answer: Tensor;
    try {
      const answers = await this.#session.run({ [input.name]: feed }, [output]);
      answer = answers[output] as Tensor;
    } catch (cause) {
      throw new StillhouseError('INVALID_ARGUMENT', `ONNX Runtime: ${(cause as Error).message}`, { cause });
    }
    return { values: floatsOf(answer, output), shape: answer.dims };
  }

  #tensorOf({ name, values, shape }: Feed): Tensor {
    const { Tensor } = this.#runtime;
    if (values instanceof Uint8Array) return new Tensor('uint8', values, shape);
    if (this.inputs.find((port) => port.name === name)?.type !== 'float16') return new Tensor('float32', values, shape);
    return new Tensor('float16', Uint16Array.from(values, halfBits), shape);
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}

/** Half precision comes as bits, which would pass for numbers. */
function floatsOf({ type, data }: Tensor, output: string): Float32Array {
  if (type === 'float32') return data as Float32Array;
  if (type === 'float64') return Float32Array.from(data as Float64Array);
  if (type !== 'float16') throw new StillhouseError('DATA_LOSS', `the output ${output} is ${type}, not floating-point`);
  return data instanceof Uint16Array ? floatsOfHalves(data) : Float32Array.from(data as Iterable<number>);
}

function factOf(port: InferenceSession.ValueMetadata): PortFact {
  if (!port.isTensor) return { name: port.name, type: 'no tensor', shape: null };
  return { name: port.name, type: port.type, shape: port.shape.map((size) => (typeof size === 'number' ? size : -1)) };
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
