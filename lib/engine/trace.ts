/**
 * Traces one eager execution into a graph: while the function runs, every operation that tfjs hands to TensorFlow is
 * executed and written down as a node. Whatever the function's JavaScript decided is decided for good, so a value that it
 * reads back is refused: it would be baked in.
 */
import { bytesOf } from '../base/digest.ts';
import { StillhouseError } from '../base/errors.ts';
import { type Attribute, attribute, attributeFromOp, type GraphDefinition } from './graph-definition.ts';
import { type GraphValue, type Precision, PrecisionRule } from './precision.ts';
import {
  type Binding,
  dtypeOf,
  handleOf,
  nativeBackend,
  type OpAttribute,
  type Tensor,
  type TensorHandle,
  tf,
} from './tf.ts';

/** A tensor that the traced function is called with, and the node that stands for it in the graph. */
export interface TraceInput {
  readonly tensor: Tensor;
  readonly node: string;
}

/**
 * Runs `compute` and adds its operations to `graph` under `prefix/`.
 * @param precision in which the graph computes; the execution that is traced is float32 in any case
 * @returns one node name per tensor that `compute` answered.
 * @throws FAILED_PRECONDITION when `compute` reads a tensor's value or uses a tensor from outside that is no input.
 */
export function traceInto(
  graph: GraphDefinition,
  prefix: string,
  inputs: readonly TraceInput[],
  compute: () => readonly Tensor[],
  precision: Precision = 'float32',
): string[] {
  const engine = nativeBackend();
  const real = engine.binding;
  const recorder = new Recorder(real, graph, prefix, precision);
  for (const { tensor, node } of inputs) recorder.bind(handleOf(tensor), { dtype: dtypeOf(tensor), full: node });
  engine.binding = recorder.binding();
  try {
    return tf.engine().tidy(() => {
      const names = compute().map((tensor, index) => recorder.output(tensor, index));
      // tidy() wants tensors or nothing back; the names leave through the array.
      return names as unknown as tf.TensorContainer;
    }) as unknown as string[];
  } finally {
    engine.binding = real;
  }
}

/** Type attributes that tfjs-node leaves to eager execution to find out: name and the input that has the type. */
const INFERRED_TYPES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  ExpandDims: { T: 0, Tdim: 1 },
  Where: { T: 0 },
};

/**
 * Operations that wait for each other, in the order of their execution, although their inputs would let them run side by
 * side: a filter's gradient beside its input's, above all. Each of them takes all threads, and two at a time would take each
 * other's cache. Only of the backward pass: TensorFlow fuses forward operations, but none that others wait for.
 */
const ONE_AT_A_TIME: ReadonlySet<string> = new Set([
  'AvgPoolGrad',
  'Conv2DBackpropFilter',
  'Conv2DBackpropInput',
  'DepthwiseConv2dNativeBackpropFilter',
  'DepthwiseConv2dNativeBackpropInput',
  'FusedBatchNormGradV3',
  'MaxPoolGrad',
  'Relu6Grad',
  'ReluGrad',
]);

/** Writes operations down while they are executed. */
class Recorder {
  readonly #real: Binding;
  readonly #graph: GraphDefinition;
  readonly #prefix: string;
  readonly #rule: PrecisionRule;
  readonly #values = new Map<number, GraphValue>();
  #count = 0;
  /** The latest of those that go one at a time. */
  #latest: string | undefined;

  constructor(real: Binding, graph: GraphDefinition, prefix: string, precision: Precision) {
    this.#real = real;
    this.#graph = graph;
    this.#prefix = prefix;
    this.#rule = new PrecisionRule(graph, precision);
  }

  /** From now on the value stands for the tensor with this handle. */
  bind(handle: number, value: GraphValue): void {
    this.#values.set(handle, value);
  }

  /** The real binding, with the calls that create, compute or read tensors replaced. */
  binding(): Binding {
    const recording = Object.create(this.#real) as Binding;
    const override = (name: keyof Binding, value: unknown) => Object.defineProperty(recording, name, { value });
    override('createTensor', this.#createTensor.bind(this));
    override('executeOp', this.#executeOp.bind(this));
    override('tensorDataSync', () => {
      throw this.#refusal("reads a tensor's value in JavaScript, which a graph would repeat unchanged");
    });
    return recording;
  }

  /** Adds the function's output number `index`. */
  output(tensor: Tensor, index: number): string {
    const input = this.#rule.full(this.#valueOf(handleOf(tensor)));
    return this.#graph.add(`${this.#prefix}/out${index}`, 'Identity', [input], { T: attribute.type(dtypeOf(tensor)) });
  }

  #createTensor(shape: readonly number[], dtype: number, values: ArrayLike<number>): number {
    const id = this.#real.createTensor(shape, dtype, values);
    const full = this.#add('const', 'Const', [], {
      dtype: attribute.type(dtype),
      value: attribute.tensor(dtype, shape, constantBytes(this.#real, dtype, values)),
    });
    this.bind(id, { dtype, full });
    return id;
  }

  #executeOp(op: string, attributes: OpAttribute[], inputIds: number[], outputs: number): TensorHandle[] {
    const handles = this.#real.executeOp(op, attributes, inputIds, outputs);
    const inputs = inputIds.map((id) => this.#valueOf(id));
    const plan = this.#rule.plan(op, inputs);
    const waits = ONE_AT_A_TIME.has(op);
    const after = waits && this.#latest !== undefined ? [`^${this.#latest}`] : [];
    const name = this.#add(op, op, [...plan.inputs, ...after], this.#attributesOf(op, attributes, inputs, plan.dtype));
    if (waits) this.#latest = name;
    for (const [index, { id, dtype }] of handles.entries()) {
      const node = index === 0 ? name : `${name}:${index}`;
      this.bind(id, plan.isLow(index) ? { dtype, low: node } : { dtype, full: node });
    }
    return handles;
  }

  #attributesOf(
    op: string,
    attributes: readonly OpAttribute[],
    inputs: readonly GraphValue[],
    dtype: number | undefined,
  ): Record<string, Attribute> {
    const given = attributes.filter(({ value }) => value !== undefined && value !== null);
    const inferred = Object.entries(INFERRED_TYPES[op] ?? {}).map(
      ([name, input]) => [name, attribute.type((inputs[input] as GraphValue).dtype)] as const,
    );
    const all = [...inferred, ...given.map((attr) => [attr.name, attributeFromOp(attr)] as const)];
    if (dtype !== undefined) all.push(['T', attribute.type(dtype)]);
    return Object.fromEntries(all);
  }

  #valueOf(handle: number): GraphValue {
    const value = this.#values.get(handle);
    if (value !== undefined) return value;
    throw this.#refusal('uses a tensor that is neither one of its inputs nor computed from them');
  }

  #refusal(problem: string): StillhouseError {
    return new StillhouseError('FAILED_PRECONDITION', `cannot compile ${this.#prefix}: it ${problem}`);
  }

  #add(name: string, op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>>): string {
    return this.#graph.add(`${this.#prefix}/${name}${this.#count++}`, op, inputs, attributes);
  }
}

/** A constant's values as TensorFlow stores them; tfjs hands over int64 as pairs of 32-bit words and bools as numbers. */
function constantBytes(types: Binding, dtype: number, values: ArrayLike<number>): Uint8Array {
  if (dtype === types.TF_FLOAT) return bytesOf(Float32Array.from(values));
  if (dtype === types.TF_INT32) return bytesOf(Int32Array.from(values));
  if (dtype === types.TF_BOOL) return Uint8Array.from(values);
  if (dtype === types.TF_INT64) return bytesOf(Int32Array.from(values));
  throw new StillhouseError('FAILED_PRECONDITION', `cannot compile a constant of TensorFlow's dtype ${dtype}`);
}
