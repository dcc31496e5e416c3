/** What predicts within a graph: images as they arrive, scaled and normalised, through the network without batch norm. */
import type { GraphDefinition } from '../engine/graph-definition.ts';
import { withTensors } from '../engine/scope.ts';
import { backend, type Tensor, tf } from '../engine/tf.ts';
import { type TraceInput, traceInto } from '../engine/trace.ts';
import { forward } from '../model/forward.ts';
import { foldBatchNorm } from '../model/inference.ts';
import { normalise, scaleTo } from './batch-gradient.ts';
import { imageShape, type ProgramSpec } from './step-spec.ts';

/**
 * Adds the logits of `size` images, in float32: from the placeholder `<prefix>/images` to `<prefix>/out0`.
 * @param state the model's parameters and moving statistics by name
 */
export function tracePrediction(
  graph: GraphDefinition,
  prefix: string,
  spec: ProgramSpec,
  size: number,
  state: ReadonlyMap<string, TraceInput>,
): void {
  const { height, width, channels } = imageShape(spec);
  const shape: [number, number, number, number] = [size, height, width, channels];
  const { architecture } = spec.model;
  const weights = new Map([...state].map(([name, { tensor }]) => [name, tensor]));
  withTensors((keep) => {
    const tensor = keep(tf.zeros(shape));
    const images = { tensor, node: graph.placeholder(`${prefix}/images`, backend().binding.TF_FLOAT, shape) };
    traceInto(graph, prefix, [images, ...state.values()], () => {
      const folded = foldBatchNorm(architecture, weights);
      return [forward(folded, folded.tensors, prepare(tensor, spec), { training: false }).logits];
    });
  });
}

/**
 * As `preprocess`, to rounding: a map of each channel's values and an interpolation between them can change places, so that
 * the fewer values are mapped.
 */
function prepare(images: Tensor, { model: { input }, preprocessing }: ProgramSpec): Tensor {
  const [, height, width] = images.shape as [number, number, number, number];
  return height * width < input.height * input.width
    ? scaleTo(normalise(images, preprocessing), input)
    : normalise(scaleTo(images, input), preprocessing);
}
