/** An ONNX graph under construction, and how each step of a network is written in ONNX's operators. */
import { bytesOf } from '../../base/digest.ts';
import { invariant } from '../../base/errors.ts';
import type { ImageShape } from '../../data/manifest.ts';
import type { ModelManifest } from '../model-manifest.ts';
import type { NamedTensors } from '../safetensors.ts';
import { NETWORK_INPUT, type Network, type Step, scalesImages } from './network.ts';
import {
  DATA_TYPE,
  encodeOnnxModel,
  type OnnxAttribute,
  type OnnxNode,
  type OnnxPort,
  type OnnxTensor,
} from './onnx-messages.ts';
import { type BatchSize, IMAGE, LOGITS } from './signature.ts';

/** An optional input that is left out before one that is given. */
const ABSENT = '';

type Attributes = Readonly<Record<string, OnnxAttribute>>;

export class OnnxGraph {
  readonly #nodes: OnnxNode[] = [];
  readonly #initializers = new Map<string, OnnxTensor>();

  /** Adds an operator and answers the name of its value, which is its own name too. */
  add(op: string, inputs: readonly string[], output: string, attributes: Attributes = {}): string {
    this.#nodes.push({ name: output, op, inputs, outputs: [output], attributes });
    return output;
  }

  floats(name: string, shape: readonly number[], values: Float32Array): string {
    return this.#constant({ name, dataType: DATA_TYPE.float, shape, bytes: bytesOf(values) });
  }

  int8s(name: string, shape: readonly number[], values: Int8Array): string {
    return this.#constant({ name, dataType: DATA_TYPE.int8, shape, bytes: bytesOf(values) });
  }

  uint8(name: string, value: number): string {
    return this.#constant({ name, dataType: DATA_TYPE.uint8, shape: [], bytes: Uint8Array.of(value) });
  }

  int64s(name: string, values: BigInt64Array): string {
    return this.#constant({ name, dataType: DATA_TYPE.int64, shape: [values.length], bytes: bytesOf(values) });
  }

  int32s(name: string, values: Int32Array): string {
    return this.#constant({ name, dataType: DATA_TYPE.int32, shape: [values.length], bytes: bytesOf(values) });
  }

  encode(inputs: readonly OnnxPort[], outputs: readonly OnnxPort[], metadata: Readonly<Record<string, string>>) {
    return encodeOnnxModel({
      graphName: 'stillhouse',
      nodes: this.#nodes,
      initializers: [...this.#initializers.values()],
      inputs,
      outputs,
      metadata,
    });
  }

  #constant(tensor: OnnxTensor): string {
    invariant(!this.#initializers.has(tensor.name), `the constant ${tensor.name} is added once`);
    this.#initializers.set(tensor.name, tensor);
    return tensor.name;
  }
}

/** The signature that every exported model has. */
export function imagePort({ images }: Network, batchSize: BatchSize): OnnxPort {
  return { name: IMAGE, shape: [batchDimension(batchSize), images.height, images.width, images.channels] };
}

export function logitsPort({ classes }: Network, batchSize: BatchSize): OnnxPort {
  return { name: LOGITS, shape: [batchDimension(batchSize), classes] };
}

/** Channels first, as an ONNX graph computes. */
export function valuePort({ output, shape }: Step, batchSize: BatchSize): OnnxPort {
  const [height, width, channels] = shape;
  const sizes = shape.length === 3 ? [channels as number, height as number, width as number] : shape;
  return { name: output, shape: [batchDimension(batchSize), ...sizes] };
}

function batchDimension(batchSize: BatchSize): number | string {
  return batchSize === 'dynamic' ? 'batch' : batchSize;
}

/** Scaling of the images, then (pixel/255 - mean)/std as one multiplication and one addition, channels first. */
export function addPreprocessing(
  graph: OnnxGraph,
  network: Network,
  { mean, std }: ModelManifest['preprocessing'],
): string {
  const shape = [1, mean.length, 1, 1];
  const scale = graph.floats(
    'preprocessing/scale',
    shape,
    Float32Array.from(std, (deviation) => 1 / (255 * deviation)),
  );
  const offset = graph.floats(
    'preprocessing/offset',
    shape,
    Float32Array.from(mean, (value, channel) => -value / (std[channel] as number)),
  );
  const channelsFirst = graph.add('Transpose', [IMAGE], 'preprocessing/transposed', { perm: { ints: [0, 3, 1, 2] } });
  const resized = scalesImages(network) ? addResize(graph, channelsFirst, network.input) : channelsFirst;
  const scaled = graph.add('Mul', [resized, scale], 'preprocessing/scaled');
  return graph.add('Add', [scaled, offset], NETWORK_INPUT);
}

/** By sizes, as factors would be rounded; the operator wants all of them, and the number of images may be open. */
function addResize(graph: OnnxGraph, images: string, { height, width, channels }: ImageShape): string {
  const name = 'preprocessing/resized';
  const count = graph.add('Shape', [images], `${name}/count`, { end: { int: 1 } });
  const sizes = graph.int64s(`${name}/image_sizes`, BigInt64Array.of(BigInt(channels), BigInt(height), BigInt(width)));
  const all = graph.add('Concat', [count, sizes], `${name}/sizes`, { axis: { int: 0 } });
  return graph.add('Resize', [images, ABSENT, ABSENT, all], name, {
    mode: { text: 'linear' },
    coordinate_transformation_mode: { text: 'half_pixel' },
  });
}

/** Adds a network's tensors as constants under their own names. */
export function addTensors(graph: OnnxGraph, tensors: NamedTensors): void {
  for (const [name, { shape, values }] of tensors) graph.floats(name, shape, values);
}

/**
 * Adds the operators of one step.
 * @param inputs values that it reads
 * @param parameter for a tensor's name the value that holds it
 */
export function addStep(
  graph: OnnxGraph,
  step: Step,
  inputs: readonly string[],
  parameter: (name: string) => string = (name) => name,
): string {
  const { output } = step;
  const [x] = inputs as [string];
  switch (step.op) {
    case 'convolution': {
      const { weight, bias, kernel, stride, pads, depthwise, shape } = step;
      const tensors = bias === null ? [weight] : [weight, bias];
      return graph.add('Conv', [x, ...tensors.map(parameter)], output, {
        ...window(kernel, stride, pads),
        group: { int: depthwise ? (shape[2] as number) : 1 },
      });
    }
    case 'batch-norm': {
      const tensors = [step.scale, step.offset, step.mean, step.variance].map(parameter);
      return graph.add('BatchNormalization', [x, ...tensors], output, { epsilon: { float: step.epsilon } });
    }
    case 'max-pool':
      return graph.add('MaxPool', [x], output, window(step.size, step.stride, step.pads));
    case 'average-pool':
      return graph.add('AveragePool', [x], output, {
        ...window(step.size, step.stride, step.pads),
        count_include_pad: { int: 1 },
      });
    case 'global-average-pool':
      return graph.add('Flatten', [graph.add('GlobalAveragePool', [x], `${output}/pooled`)], output);
    case 'flatten':
      return graph.add('Flatten', [x], output);
    case 'linear':
      return graph.add('Gemm', [x, parameter(step.weight), parameter(step.bias)], output, { transB: { int: 1 } });
    case 'add':
      return graph.add('Add', inputs, output);
    case 'relu':
      return graph.add('Relu', [x], output);
    case 'relu6': {
      const zero = graph.floats(`${output}/min`, [], Float32Array.of(0));
      const six = graph.floats(`${output}/max`, [], Float32Array.of(6));
      return graph.add('Clip', [x, zero, six], output);
    }
  }
}

function window(size: number, stride: number, pads: readonly number[]): Attributes {
  return { kernel_shape: { ints: [size, size] }, strides: { ints: [stride, stride] }, pads: { ints: pads } };
}
