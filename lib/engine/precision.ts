/**
 * Mixed precision (Micikevicius et al. 2018, arXiv:1710.03740) as a rule for writing a graph: convolutions and matrix
 * products compute in 16 bits, what lies between them follows, and everything else (losses, statistics, sums, weights and
 * their updates) stays in float32. Weights are float32 variables and cast where they are used.
 */
import { attribute, type GraphDefinition } from './graph-definition.ts';
import { backend } from './tf.ts';

export type Precision = 'float32' | 'bfloat16' | 'float16';

/** TensorFlow's numbers for the types that tfjs has no name for (tensorflow/core/framework/types.proto). */
const DTYPES = { float16: 19, bfloat16: 14 } as const;

/** Always worth 16 bits: their work grows faster than their inputs. */
const COMPUTES: ReadonlySet<string> = new Set([
  'BatchMatMul',
  'BatchMatMulV2',
  'Conv2D',
  'Conv2DBackpropInput',
  'Conv2DBackpropFilter',
  'DepthwiseConv2dNative',
  'DepthwiseConv2dNativeBackpropInput',
  'DepthwiseConv2dNativeBackpropFilter',
  'MatMul',
]);

/** Bound by memory: they follow the type of their first input, which spares a conversion there and back. */
const FOLLOWS: ReadonlySet<string> = new Set([
  'AddN',
  'AddV2',
  'AvgPool',
  'BiasAdd',
  'FusedBatchNormGradV3',
  'FusedBatchNormV3',
  'MaxPool',
  'MaxPoolGrad',
  'PadV2',
  'Relu',
  'Relu6',
  'Relu6Grad',
  'ReluGrad',
  'Reshape',
]);

/** Operations whose statistics stay float32: how many leading inputs and outputs are activations. */
const ACTIVATIONS: ReadonlyMap<string, { readonly inputs: number; readonly outputs: number }> = new Map([
  ['FusedBatchNormV3', { inputs: 1, outputs: 1 }],
  ['FusedBatchNormGradV3', { inputs: 2, outputs: 1 }],
]);

/** A value in the graph. A float may be there in 32 bits, in 16, or in both: the other form is added when it is asked for. */
export interface GraphValue {
  readonly dtype: number;
  full?: string;
  low?: string;
}

/** Where an operation's inputs come from, and in which form its outputs are. */
export interface PrecisionPlan {
  readonly inputs: readonly string[];
  /** The type of the attribute `T`; undefined leaves it. */
  readonly dtype: number | undefined;
  isLow(output: number): boolean;
}

export class PrecisionRule {
  readonly #graph: GraphDefinition;
  readonly #low: number | undefined;

  constructor(graph: GraphDefinition, precision: Precision) {
    this.#graph = graph;
    this.#low = precision === 'float32' ? undefined : DTYPES[precision];
  }

  plan(op: string, inputs: readonly GraphValue[]): PrecisionPlan {
    const low = this.#low;
    if (low === undefined || !this.#isLow(op, inputs)) {
      return { inputs: inputs.map((value) => this.full(value)), dtype: undefined, isLow: () => false };
    }
    const float = backend().binding.TF_FLOAT;
    const activations = ACTIVATIONS.get(op) ?? { inputs: inputs.length, outputs: Number.POSITIVE_INFINITY };
    return {
      inputs: inputs.map((value, index) =>
        index < activations.inputs && value.dtype === float ? this.#lowOf(value, low) : this.full(value),
      ),
      dtype: low,
      isLow: (output) => output < activations.outputs,
    };
  }

  /** The value's node in the type that eager execution has it in. */
  full(value: GraphValue): string {
    value.full ??= this.#cast(value.low as string, this.#low as number, value.dtype);
    return value.full;
  }

  #isLow(op: string, inputs: readonly GraphValue[]): boolean {
    const float = backend().binding.TF_FLOAT;
    if (COMPUTES.has(op)) return inputs.some(({ dtype }) => dtype === float);
    return FOLLOWS.has(op) && inputs[0]?.dtype === float && inputs[0].low !== undefined;
  }

  #lowOf(value: GraphValue, low: number): string {
    value.low ??= this.#cast(value.full as string, value.dtype, low);
    return value.low;
  }

  #cast(input: string, from: number, to: number): string {
    return this.#graph.add(`${input.replace(':', '/output')}/as${to}`, 'Cast', [input], {
      SrcT: attribute.type(from),
      DstT: attribute.type(to),
      Truncate: attribute.boolean(false),
    });
  }
}
