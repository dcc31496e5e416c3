/** A SavedModel that some other program has written: a TensorFlow session with its own variables. */
import { StillhouseError } from '../base/errors.ts';
import type { PortFact } from './ports.ts';
import { nativeBackend, type SavedPort, savedGraphs, type Tensor } from './tf.ts';

/** The graph for inference. */
const TAG = 'serve';

/** TensorFlow's numbers have names of their own. */
const TYPE_NAMES: Readonly<Record<string, string>> = {
  DT_FLOAT: 'float32',
  DT_UINT8: 'uint8',
};

/** Half and double precision, of which the binding does not say more. */
const UNKNOWN_TYPE = /^Unsupported tensor DataType/;

type Ports = Readonly<Record<string, SavedPort>>;

export class SavedModel {
  readonly #id: number;
  readonly #inputs: Ports;
  readonly #outputs: Ports;

  private constructor(id: number, inputs: Ports, outputs: Ports) {
    this.#id = id;
    this.#inputs = inputs;
    this.#outputs = outputs;
  }

  /**
   * @param folder of `saved_model.pb`
   * @throws FAILED_PRECONDITION on plain TensorFlow.js; INVALID_ARGUMENT for a signature that it lacks, with those that it has, or with
   *   TensorFlow's message when it is no SavedModel
   */
  static async open(folder: string, signature: string): Promise<SavedModel> {
    const { binding } = nativeBackend();
    const graphs = await refusing(() => savedGraphs(folder));
    const graph = graphs.find(({ tags }) => tags.length === 1 && tags[0] === TAG);
    if (graph === undefined) {
      const known = graphs.map(({ tags }) => tags.join('+')).join(', ');
      throw new StillhouseError('INVALID_ARGUMENT', `the SavedModel has no graph tagged ${TAG}, only ${known}`);
    }
    const found = Object.hasOwn(graph.signatureDefs, signature) ? graph.signatureDefs[signature] : undefined;
    if (found === undefined) {
      const known = Object.keys(graph.signatureDefs).join(', ');
      throw new StillhouseError('INVALID_ARGUMENT', `the SavedModel has no signature ${signature}`, {
        field: 'signature',
        hint: `its signatures are: ${known}`,
      });
    }
    const id = await refusing(async () => binding.loadSavedModel(folder, TAG));
    return new SavedModel(id, found.inputs, found.outputs);
  }

  get inputs(): readonly PortFact[] {
    return Object.entries(this.#inputs).map(factOf);
  }

  get outputs(): readonly PortFact[] {
    return Object.entries(this.#outputs).map(factOf);
  }

  /** Feeds one input and fetches one output, which becomes the caller's. @throws INVALID_ARGUMENT with TensorFlow's message */
  run(
    input: { readonly name: string; readonly values: Float32Array | Uint8Array; readonly shape: readonly number[] },
    output: string,
  ): Tensor {
    const engine = nativeBackend();
    const { binding } = engine;
    const { name, values, shape } = input;
    const feed = binding.createTensor(
      shape,
      values instanceof Uint8Array ? binding.TF_UINT8 : binding.TF_FLOAT,
      values,
    );
    try {
      const [handle] = binding.runSavedModel(
        this.#id,
        [feed],
        (this.#inputs[name] as SavedPort).name,
        (this.#outputs[output] as SavedPort).name,
      );
      return engine.createOutputTensor(handle as NonNullable<typeof handle>);
    } catch (cause) {
      throw new StillhouseError('INVALID_ARGUMENT', `TensorFlow: ${firstLine(cause)}`, { cause });
    } finally {
      binding.deleteTensor(feed);
    }
  }

  close(): void {
    nativeBackend().binding.deleteSavedModel(this.#id);
  }
}

function factOf([name, { tfDtype, shape }]: [string, SavedPort]): PortFact {
  const sizes = shape.map((dimension) => dimension.getSize());
  return { name, type: TYPE_NAMES[tfDtype] ?? tfDtype, shape: sizes.length === 0 ? null : sizes };
}

async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof StillhouseError) throw cause;
    const reason = firstLine(cause);
    if (UNKNOWN_TYPE.test(reason)) {
      const message =
        'the SavedModel has an input or output of other numbers than single precision, bytes or whole ones';
      throw new StillhouseError('INVALID_ARGUMENT', message, { hint: 'cast it to float32 in its signatures', cause });
    }
    throw new StillhouseError('INVALID_ARGUMENT', `TensorFlow refuses the SavedModel: ${reason}`, { cause });
  }
}

function firstLine(thrown: unknown): string {
  return (thrown as Error).message.split('\n')[0] as string;
}
