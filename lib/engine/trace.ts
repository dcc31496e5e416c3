/**
 * Traces one eager execution into a graph: while the function runs, every operation that tfjs hands to TensorFlow is
 * executed and written down as a node. Whatever the function's JavaScript decided is decided for good, so a value that it
 * reads back is refused: it would be baked in.
 */
import { bytesOf } from '../base/digest.ts';
import { StillhouseError } from '../base/errors.ts';
import { attribute, attributeFromOp, type GraphDefinition } from './graph-definition.ts';
import { type Binding, backend, dtypeOf, handleOf, type OpAttribute, type Tensor, tf } from './tf.ts';

/** A tensor that the traced function is called with, and the node that stands for it in the graph. */
export interface TraceInput {
  readonly tensor: Tensor;
  readonly node: string;
}

/**
 * Runs `compute` and adds its operations to `graph` under `prefix/`.
 * @returns one node name (`name:output`) per tensor that `compute` answered.
 * @throws FAILED_PRECONDITION when `compute` reads a tensor's value or uses a tensor from outside that is no input.
 */
export function traceInto(
  graph: GraphDefinition,
  prefix: string,
  inputs: readonly TraceInput[],
  compute: () => readonly Tensor[],
): string[] {
  const engine = backend();
  const real = engine.binding;
  const sources = new Map<number, string>();
  for (const input of inputs) sources.set(handleOf(input.tensor), input.node);
  engine.binding = recordingBinding(real, graph, prefix, sources);
  try {
    return tf.engine().tidy(() => {
      const outputs = compute();
      const names = outputs.map((tensor, index) => {
        const source = sources.get(handleOf(tensor));
        if (source === undefined) throw unboundTensor(prefix);
        return graph.add(`${prefix}/out${index}`, 'Identity', [source], { T: attribute.type(dtypeOf(tensor)) });
      });
      // tidy() wants tensors or nothing back; the names leave through the array.
      return names as unknown as tf.TensorContainer;
    }) as unknown as string[];
  } finally {
    engine.binding = real;
  }
}

function unboundTensor(prefix: string): StillhouseError {
  return new StillhouseError(
    'FAILED_PRECONDITION',
    `cannot compile ${prefix}: it uses a tensor that is neither one of its inputs nor computed from them`,
  );
}

/** The binding, with the calls that create or compute tensors written down as they happen. */
function recordingBinding(
  real: Binding,
  graph: GraphDefinition,
  prefix: string,
  sources: Map<number, string>,
): Binding {
  const recording = Object.create(real) as Binding;
  const override = (name: keyof Binding, value: unknown) => Object.defineProperty(recording, name, { value });
  let count = 0;
  override('createTensor', (shape: readonly number[], dtype: number, values: ArrayLike<number>) => {
    const id = real.createTensor(shape, dtype, values);
    sources.set(
      id,
      graph.add(`${prefix}/const${count++}`, 'Const', [], {
        dtype: attribute.type(dtype),
        value: attribute.tensor(dtype, shape, constantBytes(real, dtype, values)),
      }),
    );
    return id;
  });
  override('executeOp', (op: string, attributes: OpAttribute[], inputIds: number[], outputs: number) => {
    const handles = real.executeOp(op, attributes, inputIds, outputs);
    const nodeInputs = inputIds.map((id) => {
      const source = sources.get(id);
      if (source === undefined) throw unboundTensor(prefix);
      return source;
    });
    const nodeAttributes = attributes
      .filter(({ value }) => value !== undefined && value !== null)
      .map((attr) => [attr.name, attributeFromOp(attr)] as const);
    const name = graph.add(`${prefix}/${op}${count++}`, op, nodeInputs, Object.fromEntries(nodeAttributes));
    for (const [index, handle] of handles.entries()) sources.set(handle.id, index === 0 ? name : `${name}:${index}`);
    return handles;
  });
  override('tensorDataSync', () => {
    throw new StillhouseError(
      'FAILED_PRECONDITION',
      `cannot compile ${prefix}: it reads a tensor's value in JavaScript, which a graph would repeat unchanged`,
    );
  });
  return recording;
}

/** A constant's values as TensorFlow stores them; tfjs hands over int64 as pairs of 32-bit words and bools as numbers. */
function constantBytes(types: Binding, dtype: number, values: ArrayLike<number>): Uint8Array {
  if (dtype === types.TF_FLOAT) return bytesOf(Float32Array.from(values));
  if (dtype === types.TF_INT32) return bytesOf(Int32Array.from(values));
  if (dtype === types.TF_BOOL) return Uint8Array.from(values);
  if (dtype === types.TF_INT64) return bytesOf(Int32Array.from(values));
  throw new StillhouseError('FAILED_PRECONDITION', `cannot compile a constant of TensorFlow's dtype ${dtype}`);
}
