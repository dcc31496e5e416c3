/** The layer that ends in one logit per class. */
import { exportTensors, type ModelSpec } from './parameters.ts';
import type { NamedTensors } from './safetensors.ts';

/**
 * The tensors with another classifier, for classes that theirs does not know.
 * @param parameters flat, of the model; the new classifier is taken from them
 */
export function withClassifier(
  model: ModelSpec,
  tensors: NamedTensors,
  parameters: Float32Array,
  statistics: Float32Array,
): NamedTensors {
  const layer = model.parameters.at(-1)?.layer;
  const own = exportTensors(model, parameters, statistics);
  const replaced = new Map(tensors);
  for (const { name, layer: of } of model.parameters) {
    const tensor = own.get(name);
    if (of === layer && tensor !== undefined) replaced.set(name, tensor);
  }
  return replaced;
}
