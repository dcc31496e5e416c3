/** A network in ONNX with float32 weights, as they are: runtimes fuse by themselves. */
import type { ModelManifest } from '../model-manifest.ts';
import type { Weights } from './fold-batch-norm.ts';
import { inputsOf } from './network.ts';
import { addPreprocessing, addStep, addTensors, imagePort, logitsPort, OnnxGraph, valuePort } from './onnx-graph.ts';
import type { BatchSize } from './signature.ts';

export interface OnnxOptions {
  readonly preprocessing: ModelManifest['preprocessing'];
  readonly batchSize: BatchSize;
  readonly metadata: Readonly<Record<string, string>>;
}

/** @param observed values that the graph answers beside the logits */
export function encodeFloatOnnx(
  { network, tensors }: Weights,
  { preprocessing, batchSize, metadata }: OnnxOptions,
  observed: readonly string[] = [],
): Uint8Array {
  const graph = new OnnxGraph();
  addPreprocessing(graph, network, preprocessing);
  addTensors(graph, tensors);
  for (const step of network.steps) addStep(graph, step, inputsOf(step));
  const ports = network.steps
    .filter(({ output }) => observed.includes(output))
    .map((step) => valuePort(step, batchSize));
  return graph.encode([imagePort(network, batchSize)], [logitsPort(network, batchSize), ...ports], metadata);
}
