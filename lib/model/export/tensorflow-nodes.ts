/**
 * A network as nodes of a TensorFlow graph, with the weights as constants. Only operations that TensorFlow.js's graph
 * executor knows too are used (@tensorflow/tfjs-converter, src/operations/op_list), so both formats have the same nodes.
 */
import { invariant } from '../../base/errors.ts';
import type { ImageShape } from '../../data/manifest.ts';
import type { ModelManifest } from '../model-manifest.ts';
import type { ModelSpec } from '../parameters.ts';
import { importTensors } from '../parameters.ts';
import type { NamedTensor, NamedTensors } from '../safetensors.ts';
import {
  type ConvolutionStep,
  inputsOf,
  lowerNetwork,
  NETWORK_INPUT,
  type Network,
  type PoolStep,
  type Step,
  scalesImages,
} from './network.ts';
import { type BatchSize, IMAGE, LOGITS } from './signature.ts';

export type TensorflowType = 'float' | 'int32';

export type TensorflowAttribute =
  | { readonly type: TensorflowType }
  /** -1 stands for any size. */
  | { readonly shape: readonly number[] }
  | { readonly text: string }
  | { readonly float: number }
  | { readonly boolean: boolean }
  | { readonly integers: readonly number[] }
  | { readonly tensor: TensorflowTensor };

export interface TensorflowTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array;
}

export interface TensorflowNode {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  readonly attributes: Readonly<Record<string, TensorflowAttribute>>;
}

/** A float32 node that is fed or fetched; -1 stands for any size. */
export interface TensorflowPort {
  readonly name: string;
  readonly shape: readonly number[];
}

export interface TensorflowGraph {
  readonly nodes: readonly TensorflowNode[];
  readonly inputs: readonly TensorflowPort[];
  readonly outputs: readonly TensorflowPort[];
}

const FLOAT: TensorflowAttribute = { type: 'float' };
const INT32: TensorflowAttribute = { type: 'int32' };
const CHANNELS_LAST: TensorflowAttribute = { text: 'NHWC' };
/** What pads a maximum: the least float32. */
const LEAST = -3.4028234663852886e38;

export interface TensorflowOptions {
  /** As the model is given them; they are scaled to the network's input inside. */
  readonly images: ImageShape;
  readonly preprocessing: ModelManifest['preprocessing'];
  readonly batchSize: BatchSize;
}

/** @param tensors in PyTorch's names and layouts */
export function tensorflowGraph(
  model: ModelSpec,
  tensors: NamedTensors,
  { images, preprocessing, batchSize }: TensorflowOptions,
): TensorflowGraph {
  const network = lowerNetwork(model, images);
  const batch = batchSize === 'dynamic' ? -1 : batchSize;
  const { height, width, channels } = images;
  const imageShape = [batch, height, width, channels];
  const writer = new NodeWriter(tensorsInMemory(model, tensors));
  writer.add('Placeholder', IMAGE, [], { dtype: FLOAT, shape: { shape: imageShape } });
  writer.addPreprocessing(network, preprocessing);
  for (const step of network.steps) writer.addStep(step);
  return {
    nodes: writer.nodes,
    inputs: [{ name: IMAGE, shape: imageShape }],
    outputs: [{ name: LOGITS, shape: [batch, model.classes] }],
  };
}

/** PyTorch's layouts → TensorFlow's, which the engine computes with. */
function tensorsInMemory(model: ModelSpec, tensors: NamedTensors): NamedTensors {
  const { parameters, statistics } = importTensors(model, tensors);
  const cut = (specs: ModelSpec['parameters'], flat: Float32Array) => {
    let offset = 0;
    return specs.map(({ name, shape, size }): [string, NamedTensor] => {
      offset += size;
      return [name, { shape, values: flat.subarray(offset - size, offset) }];
    });
  };
  return new Map([...cut(model.parameters, parameters), ...cut(model.statistics, statistics)]);
}

class NodeWriter {
  readonly nodes: TensorflowNode[] = [];
  readonly #tensors: NamedTensors;

  constructor(tensors: NamedTensors) {
    this.#tensors = tensors;
  }

  add(op: string, name: string, inputs: readonly string[], attributes: TensorflowNode['attributes'] = {}): string {
    this.nodes.push({ name, op, inputs, attributes });
    return name;
  }

  /** Scaling of the images, then (pixel/255 - mean)/std as one multiplication and one addition. */
  addPreprocessing(network: Network, { mean, std }: ModelManifest['preprocessing']): void {
    const resized = scalesImages(network) ? this.#addResize(IMAGE, network.input) : IMAGE;
    const scale = std.map((deviation) => 1 / (255 * deviation));
    const offset = mean.map((value, channel) => -value / (std[channel] as number));
    const scaleNode = this.#constant('preprocessing/scale', [scale.length], Float32Array.from(scale));
    const offsetNode = this.#constant('preprocessing/offset', [offset.length], Float32Array.from(offset));
    const scaled = this.add('Mul', 'preprocessing/scaled', [resized, scaleNode], { T: FLOAT });
    this.add('AddV2', NETWORK_INPUT, [scaled, offsetNode], { T: FLOAT });
  }

  #addResize(images: string, { height, width }: ImageShape): string {
    const size = this.#constant('preprocessing/size', [2], Int32Array.of(height, width));
    return this.add('ResizeBilinear', 'preprocessing/resized', [images, size], {
      T: FLOAT,
      align_corners: { boolean: false },
      half_pixel_centers: { boolean: true },
    });
  }

  addStep(step: Step): void {
    const { output } = step;
    const inputs = inputsOf(step);
    const [x] = inputs as [string];
    switch (step.op) {
      case 'convolution':
        this.#addConvolution(step);
        return;
      case 'batch-norm': {
        const parameters = [step.scale, step.offset, step.mean, step.variance].map((name) => this.#parameter(name));
        this.add('FusedBatchNormV3', output, [x, ...parameters], {
          T: FLOAT,
          U: FLOAT,
          epsilon: { float: step.epsilon },
          is_training: { boolean: false },
          data_format: CHANNELS_LAST,
        });
        return;
      }
      case 'max-pool':
        this.#addPool('MaxPool', step, LEAST);
        return;
      case 'average-pool':
        this.#addPool('AvgPool', step, 0);
        return;
      case 'global-average-pool': {
        const axes = this.#constant(`${output}/axes`, [2], Int32Array.of(1, 2));
        this.add('Mean', output, [x, axes], { T: FLOAT, Tidx: INT32, keep_dims: { boolean: false } });
        return;
      }
      case 'flatten': {
        // The number of images stays open.
        const shape = this.#constant(`${output}/shape`, [2], Int32Array.of(-1, step.shape[0] as number));
        this.add('Reshape', output, [x, shape], { T: FLOAT, Tshape: INT32 });
        return;
      }
      case 'linear': {
        const attributes = { T: FLOAT, transpose_a: { boolean: false }, transpose_b: { boolean: false } };
        const product = this.add('MatMul', `${output}/product`, [x, this.#parameter(step.weight)], attributes);
        this.#addBias(output, product, step.bias);
        return;
      }
      case 'add':
        this.add('AddV2', output, inputs, { T: FLOAT });
        return;
      case 'relu':
        this.add('Relu', output, [x], { T: FLOAT });
        return;
      case 'relu6':
        this.add('Relu6', output, [x], { T: FLOAT });
        return;
    }
  }

  #addConvolution(step: ConvolutionStep): void {
    const { input, output, weight, bias, stride, depthwise } = step;
    const name = bias === null ? output : `${output}/sums`;
    const attributes = { ...window(stride), dilations: { integers: [1, 1, 1, 1] } };
    const filter = this.#parameter(weight);
    if (!depthwise) {
      this.add('Conv2D', name, [input, filter], { ...attributes, ...paddingOf(step) });
    } else {
      // Not EXPLICIT: TensorFlow fuses with the bias, and its fused kernel ends the process over that.
      const x = step.isSame ? input : this.#padded(input, step, 0);
      const padding = { text: step.isSame ? 'SAME' : 'VALID' };
      this.add('DepthwiseConv2dNative', name, [x, filter], { ...attributes, padding });
    }
    if (bias !== null) this.#addBias(output, name, bias);
  }

  #addPool(op: string, step: PoolStep, filling: number): void {
    const { output, size, stride } = step;
    const x = this.#padded(step.input, step, filling);
    this.add(op, output, [x], {
      ...window(stride),
      ksize: { integers: [1, size, size, 1] },
      padding: { text: 'VALID' },
    });
  }

  #padded(input: string, { output, pads }: ConvolutionStep | PoolStep, filling: number): string {
    if (pads.every((count) => count === 0)) return input;
    const [top, left, bottom, right] = pads;
    const paddings = this.#constant(`${output}/paddings`, [4, 2], Int32Array.of(0, 0, top, bottom, left, right, 0, 0));
    const value = this.#constant(`${output}/filling`, [], Float32Array.of(filling));
    return this.add('PadV2', `${output}/padded`, [input, paddings, value], { T: FLOAT, Tpaddings: INT32 });
  }

  #addBias(output: string, sums: string, bias: string): void {
    this.add('BiasAdd', output, [sums, this.#parameter(bias)], { T: FLOAT, data_format: CHANNELS_LAST });
  }

  #parameter(name: string): string {
    const tensor = this.#tensors.get(name);
    invariant(tensor !== undefined, `the tensor ${name} is at hand`);
    return this.#constant(name, tensor.shape, tensor.values);
  }

  #constant(name: string, shape: readonly number[], values: Float32Array | Int32Array): string {
    const dtype = values instanceof Int32Array ? INT32 : FLOAT;
    return this.add('Const', name, [], { dtype, value: { tensor: { shape, values } } });
  }
}

function window(stride: number): TensorflowNode['attributes'] {
  return { T: FLOAT, strides: { integers: [1, stride, stride, 1] }, data_format: CHANNELS_LAST };
}

function paddingOf({ pads, isSame }: ConvolutionStep): TensorflowNode['attributes'] {
  if (pads.every((size) => size === 0)) return { padding: { text: 'VALID' } };
  if (isSame) return { padding: { text: 'SAME' } };
  const [top, left, bottom, right] = pads;
  return { padding: { text: 'EXPLICIT' }, explicit_paddings: { integers: [0, 0, top, bottom, left, right, 0, 0] } };
}
