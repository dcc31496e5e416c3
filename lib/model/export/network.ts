/**
 * An architecture for writers of other formats: its layers as a flat list of steps in the order of computation, with the
 * shape of every value worked out, all padding in numbers, and nothing that only training needs.
 */
import { invariant } from '../../base/errors.ts';
import type { ImageShape } from '../../data/manifest.ts';
import { type Flow, flowAfter, type PlainLayer } from '../layer-shapes.ts';
import { BATCH_NORM_EPSILON, type Layer, type Padding, type ResidualLayer } from '../layers.ts';
import type { ModelSpec } from '../parameters.ts';
import { LOGITS } from './signature.ts';

/** Places added at the top, left, bottom and right: ONNX's order. */
export type Pads = readonly [number, number, number, number];

interface StepBase {
  /** Name of the value that it computes. */
  readonly output: string;
  /** Shape of that value for one image: [height, width, channels] or [features]. */
  readonly shape: readonly number[];
}

export interface ConvolutionStep extends StepBase {
  readonly op: 'convolution';
  readonly input: string;
  /** Name of a tensor, as of the others that end in `weight`, `bias` and so on. */
  readonly weight: string;
  readonly bias: string | null;
  readonly kernel: number;
  readonly stride: number;
  readonly pads: Pads;
  /** The pads are those of TensorFlow's `same`. */
  readonly isSame: boolean;
  /** One filter per channel. */
  readonly depthwise: boolean;
}

export interface BatchNormStep extends StepBase {
  readonly op: 'batch-norm';
  readonly input: string;
  readonly scale: string;
  readonly offset: string;
  readonly mean: string;
  readonly variance: string;
  readonly epsilon: number;
}

export interface PoolStep extends StepBase {
  readonly op: 'max-pool' | 'average-pool';
  readonly input: string;
  readonly size: number;
  readonly stride: number;
  /** A padded place never wins a maximum, and counts as a zero in an average. */
  readonly pads: Pads;
}

export interface LinearStep extends StepBase {
  readonly op: 'linear';
  readonly input: string;
  readonly weight: string;
  readonly bias: string;
}

export interface AddStep extends StepBase {
  readonly op: 'add';
  readonly inputs: readonly [string, string];
}

export interface PlainStep extends StepBase {
  readonly op: 'relu' | 'relu6' | 'global-average-pool' | 'flatten';
  readonly input: string;
}

export type Step = ConvolutionStep | BatchNormStep | PoolStep | LinearStep | AddStep | PlainStep;

export interface Network {
  /** As the model is given them; they are scaled to `input` where that has another size. */
  readonly images: ImageShape;
  readonly input: ImageShape;
  readonly classes: number;
  /** The last one computes `LOGITS`. */
  readonly steps: readonly Step[];
}

/** The preprocessed images. */
export const NETWORK_INPUT = 'model/input';

/** Whether the images are scaled before anything else: bilinearly, by half-pixel centres, without a filter. */
export function scalesImages({ images, input }: Network): boolean {
  return images.height !== input.height || images.width !== input.width;
}

/** What a step reads. */
export function inputsOf(step: Step): readonly string[] {
  return step.op === 'add' ? step.inputs : [step.input];
}

/** A value on its way through the layers. */
interface Value {
  readonly name: string;
  readonly flow: Flow;
}

/**
 * @param model described, so that its layers are known to fit each other
 * @param images as the model is given them
 */
export function lowerNetwork(model: ModelSpec, images: ImageShape): Network {
  const lowering = new Lowering(model);
  const start: Flow = { shape: model.input, isVector: false, flattened: null };
  const end = lowering.applyAll(model.architecture.layers, { name: NETWORK_INPUT, flow: start });
  const last = lowering.steps.at(-1);
  invariant(last !== undefined && last.output === end.name, 'the last step computes what the network answers');
  const steps = [...lowering.steps.slice(0, -1), { ...last, output: LOGITS }];
  return { images, input: model.input, classes: model.classes, steps };
}

class Lowering {
  readonly steps: Step[] = [];
  readonly #model: ModelSpec;
  #unnamed = 0;

  constructor(model: ModelSpec) {
    this.#model = model;
  }

  applyAll(layers: readonly Layer[], start: Value): Value {
    return layers.reduce((value, layer) => this.#apply(layer, value), start);
  }

  #apply(layer: Layer, x: Value): Value {
    if (layer.kind === 'block') return this.applyAll(layer.layers, x);
    if (layer.kind === 'residual') return this.#applyResidual(layer, x);
    if (layer.kind === 'dropout') return x;
    const { architecture, classes } = this.#model;
    const flow = flowAfter(layer, x.flow, classes, `${architecture.name}: ${layer.kind}`);
    const output = 'name' in layer ? `model/${layer.name}` : this.#unnamedValue(layer.kind);
    this.steps.push(stepOf(layer, x, { output, shape: shapeOf(flow) }));
    return { name: output, flow };
  }

  #applyResidual({ main, shortcut, activation }: ResidualLayer, x: Value): Value {
    const left = this.applyAll(main, x);
    const right = this.applyAll(shortcut, x);
    const sum = { name: this.#unnamedValue('add'), flow: left.flow };
    this.steps.push({
      op: 'add',
      inputs: [left.name, right.name],
      output: sum.name,
      shape: shapeOf(sum.flow),
    });
    return activation === 'none' ? sum : this.#apply({ kind: 'relu' }, sum);
  }

  /** A layer's own name has no slash. */
  #unnamedValue(op: string): string {
    this.#unnamed += 1;
    return `model/${op}/${this.#unnamed}`;
  }
}

function shapeOf({ shape: { height, width, channels }, isVector }: Flow): readonly number[] {
  return isVector ? [channels] : [height, width, channels];
}

function stepOf(layer: Exclude<PlainLayer, { kind: 'dropout' }>, x: Value, value: StepBase): Step {
  const input = x.name;
  const own = (tensor: string) => ('name' in layer ? `${layer.name}.${tensor}` : tensor);
  switch (layer.kind) {
    case 'conv2d':
    case 'depthwise-conv2d': {
      const { kernel, stride = 1, padding } = layer;
      const pads = padsOf(x.flow.shape, kernel, stride, padding);
      return {
        op: 'convolution',
        input,
        weight: own('weight'),
        bias: layer.bias ? own('bias') : null,
        kernel,
        stride,
        pads,
        isSame: String(pads) === String(padsOf(x.flow.shape, kernel, stride, 'same')),
        depthwise: layer.kind === 'depthwise-conv2d',
        ...value,
      };
    }
    case 'batch-norm':
      return {
        op: layer.kind,
        input,
        scale: own('weight'),
        offset: own('bias'),
        mean: own('running_mean'),
        variance: own('running_var'),
        epsilon: layer.epsilon ?? BATCH_NORM_EPSILON,
        ...value,
      };
    case 'max-pool':
    case 'average-pool': {
      const { kind, size, stride, padding = 0 } = layer;
      return { op: kind, input, size, stride, pads: padsOf(x.flow.shape, size, stride, padding), ...value };
    }
    case 'linear':
      return { op: layer.kind, input, weight: own('weight'), bias: own('bias'), ...value };
    default:
      return { op: layer.kind, input, ...value };
  }
}

function padsOf({ height, width }: ImageShape, size: number, stride: number, padding: Padding): Pads {
  const [top, bottom] = padsAlong(height, size, stride, padding);
  const [left, right] = padsAlong(width, size, stride, padding);
  return [top, left, bottom, right];
}

function padsAlong(length: number, size: number, stride: number, padding: Padding): readonly [number, number] {
  if (padding !== 'same') return [padding, padding];
  const total = Math.max(0, (Math.ceil(length / stride) - 1) * stride + size - length);
  const before = Math.floor(total / 2);
  return [before, total - before];
}
