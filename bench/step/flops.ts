/** Floating-point operations of a training step by the usual count: two per product, and twice the forward pass backwards. */
import { type Flow, flowAfter, parametersOf } from '../../lib/model/layer-shapes.ts';
import type { Layer } from '../../lib/model/layers.ts';
import type { ModelSpec } from '../../lib/model/parameters.ts';

/** Of one image; convolutions and linear layers only. */
export function stepFlops({ architecture, input, classes }: ModelSpec): number {
  let products = 0;
  const walk = (layers: readonly Layer[], start: Flow): Flow => layers.reduce(step, start);
  const step = (flow: Flow, layer: Layer): Flow => {
    if (layer.kind === 'block') return walk(layer.layers, flow);
    if (layer.kind === 'residual') {
      walk(layer.shortcut, flow);
      return walk(layer.main, flow);
    }
    const after = flowAfter(layer, flow, classes, architecture.name);
    const weight = parametersOf(layer, flow, classes).find(({ role }) => role === 'weight');
    if (weight !== undefined) {
      const { height, width } = after.shape;
      products += weight.shape.reduce((product, size) => product * size, 1) * height * width;
    }
    return after;
  };
  walk(architecture.layers, { shape: input, isVector: false, flattened: null });
  return 3 * 2 * products;
}
