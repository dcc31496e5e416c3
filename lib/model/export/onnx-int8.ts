/**
 * A network in ONNX with eight-bit weights and activations: every value passes QuantizeLinear and DequantizeLinear, which
 * runtimes fuse with the operators around them into integer kernels.
 */
import { invariant } from '../../base/errors.ts';
import type { ModelManifest } from '../model-manifest.ts';
import type { NamedTensor } from '../safetensors.ts';
import { countReaders, type Weights } from './fold-batch-norm.ts';
import {
  type ConvolutionStep,
  inputsOf,
  type LinearStep,
  NETWORK_INPUT,
  type PlainStep,
  type PoolStep,
  type Step,
} from './network.ts';
import type { OnnxOptions } from './onnx-float.ts';
import { addPreprocessing, addStep, imagePort, logitsPort, OnnxGraph } from './onnx-graph.ts';
import { type ActivationScale, activationScale, quantiseBias, quantiseWeight, type Range } from './quantisation.ts';
import { LOGITS } from './signature.ts';

/**
 * Writes the graph. The logits stay float32.
 *
 * @param weights batch norm folded where it can be
 * @param ranges of `observedValues` over calibration images
 */
export function encodeInt8Onnx(weights: Weights, options: OnnxOptions, ranges: ReadonlyMap<string, Range>): Uint8Array {
  return new QuantisedGraph(weights, ranges).encode(options);
}

class QuantisedGraph {
  readonly #graph = new OnnxGraph();
  readonly #weights: Weights;
  readonly #ranges: ReadonlyMap<string, Range>;
  readonly #scales = new Map<string, ActivationScale>();
  readonly #dequantised = new Map<string, string>();

  constructor(weights: Weights, ranges: ReadonlyMap<string, Range>) {
    this.#weights = weights;
    this.#ranges = ranges;
  }

  encode({ preprocessing, batchSize, metadata }: OnnxOptions): Uint8Array {
    const { network } = this.#weights;
    const input = addPreprocessing(this.#graph, network, preprocessing);
    this.#quantise(NETWORK_INPUT, input, activationScale(preprocessedRange(preprocessing)));
    const absorbed = absorbedActivations(this.#weights);
    for (const step of network.steps) {
      if (absorbed.has(step.output)) continue;
      const computed = this.#addStep(step);
      if (step.output === LOGITS) continue;
      const activation = [...absorbed].find(([, producer]) => producer === step.output)?.[0];
      const value = activation ?? step.output;
      this.#quantise(value, computed, this.#scaleAfter(step, value));
    }
    return this.#graph.encode([imagePort(network, batchSize)], [logitsPort(network, batchSize)], metadata);
  }

  #addStep(step: Step): string {
    const inputs = inputsOf(step).map((name) => this.#dequantised.get(name) as string);
    if (step.op === 'convolution' || step.op === 'linear') {
      const parameters = this.#addWeights(step);
      return addStep(this.#graph, step, inputs, (name) => parameters.get(name) as string);
    }
    if (step.op !== 'batch-norm') return addStep(this.#graph, step, inputs);
    return addStep(this.#graph, step, inputs, (name) => {
      const { shape, values } = this.#tensor(name);
      return this.#graph.floats(name, shape, values);
    });
  }

  #scaleAfter(step: Step, value: string): ActivationScale {
    if (keepsScale(step)) return this.#scaleOf(step.input);
    const range = this.#ranges.get(value);
    invariant(range !== undefined, `the range of ${value} has been observed`);
    return activationScale(range);
  }

  #scaleOf(value: string): ActivationScale {
    const scale = this.#scales.get(value);
    invariant(scale !== undefined, `${value} has been quantised`);
    return scale;
  }

  /** @param value the name under which later steps find it @param computed what holds it */
  #quantise(value: string, computed: string, scale: ActivationScale): void {
    const constants = [
      this.#graph.floats(`${value}/scale`, [], Float32Array.of(scale.scale)),
      this.#graph.uint8(`${value}/zero_point`, scale.zeroPoint),
    ];
    const quantised = this.#graph.add('QuantizeLinear', [computed, ...constants], `${value}/quantized`);
    this.#scales.set(value, scale);
    this.#dequantised.set(
      value,
      this.#graph.add('DequantizeLinear', [quantised, ...constants], `${value}/dequantized`),
    );
  }

  /** Weight and bias of a step; answers by tensor name the values that hold them. */
  #addWeights(step: ConvolutionStep | LinearStep): Map<string, string> {
    const weight = this.#tensor(step.weight);
    const channels = weight.shape[0] as number;
    const bias = step.bias === null ? new Float32Array(channels) : this.#tensor(step.bias).values;
    const input = this.#scaleOf(step.input);
    const { values, scales } = quantiseWeight(weight.values, bias, input.scale);
    const graph = this.#graph;
    const axis = { axis: { int: 0 } };
    const weightInputs = [
      graph.int8s(`${step.weight}/quantized`, weight.shape, values),
      graph.floats(`${step.weight}/scale`, [channels], scales),
      graph.int8s(`${step.weight}/zero_point`, [channels], new Int8Array(channels)),
    ];
    const parameters = new Map([[step.weight, graph.add('DequantizeLinear', weightInputs, step.weight, axis)]]);
    if (step.bias === null) return parameters;
    const biasScales = scales.map((scale) => scale * input.scale);
    const biasInputs = [
      graph.int32s(`${step.bias}/quantized`, quantiseBias(bias, biasScales)),
      graph.floats(`${step.bias}/scale`, [channels], biasScales),
    ];
    return parameters.set(step.bias, graph.add('DequantizeLinear', biasInputs, step.bias, axis));
  }

  #tensor(name: string): NamedTensor {
    const tensor = this.#weights.tensors.get(name);
    invariant(tensor !== undefined, `the tensor ${name} is at hand`);
    return tensor;
  }
}

/** The values whose ranges quantisation needs. */
export function observedValues(weights: Weights): string[] {
  const absorbed = absorbedActivations(weights);
  const before = new Set(absorbed.values());
  return weights.network.steps
    .filter((step) => !keepsScale(step) && step.output !== LOGITS && !before.has(step.output))
    .map(({ output }) => output);
}

/** Pooling a maximum and reshaping choose among values: no rounding is added when the scale stays. */
function keepsScale(step: Step): step is PoolStep | PlainStep {
  return step.op === 'max-pool' || step.op === 'flatten';
}

/** Of black and white. */
function preprocessedRange({ mean, std }: ModelManifest['preprocessing']): Range {
  const of = (pixel: number) => mean.map((value, channel) => (pixel - value) / (std[channel] as number));
  return { min: Math.min(...of(0)), max: Math.max(...of(1)) };
}

/**
 * ReLUs that need no operator: their range starts at zero, so that quantising what is before them cuts it in the same way.
 * ReLU → the value that it reads.
 */
function absorbedActivations({ network }: Weights): Map<string, string> {
  const readers = countReaders(network);
  const producers = new Map(network.steps.map((step) => [step.output, step.op]));
  const absorbed = new Map<string, string>();
  for (const step of network.steps) {
    if ((step.op !== 'relu' && step.op !== 'relu6') || step.output === LOGITS) continue;
    const producer = producers.get(step.input);
    const computesAnew = producer === 'convolution' || producer === 'linear' || producer === 'add';
    if (computesAnew && readers.get(step.input) === 1) absorbed.set(step.output, step.input);
  }
  return absorbed;
}
