/** How tensors lie in memory, and how that relates to PyTorch's order in files. */
import type { ImageShape } from '../data/manifest.ts';

/** How a tensor's memory order relates to PyTorch's. */
export type Layout =
  | { readonly kind: 'vector' }
  /** Memory [h, w, in, out], PyTorch [out, in, h, w]. */
  | { readonly kind: 'conv2d' }
  /** Memory [h, w, channels, 1], PyTorch [channels, 1, h, w]. */
  | { readonly kind: 'depthwise-conv2d' }
  /** Memory [in, out], PyTorch [out, in]; after `flatten`, rows are in (h, w, c) order here and (c, h, w) there. */
  | { readonly kind: 'linear'; readonly flattened: ImageShape | null };

export interface TensorLayout {
  /** In memory. */
  readonly shape: readonly number[];
  readonly layout: Layout;
}

export function pytorchShape({ shape, layout }: TensorLayout): readonly number[] {
  if (layout.kind === 'vector') return shape;
  if (layout.kind === 'linear') return [shape[1] as number, shape[0] as number];
  const [height, width, channels, filters] = shape as [number, number, number, number];
  return layout.kind === 'conv2d' ? [filters, channels, height, width] : [channels, 1, height, width];
}

/** A tensor's values in PyTorch's order. @param memory as many values as the shape says */
export function toPytorch(tensor: TensorLayout, memory: Float32Array): Float32Array {
  const values = new Float32Array(memory.length);
  const [[outer, stepOuter], [middle, stepMiddle], [inner, stepInner]] = loops(tensor);
  let from = 0;
  for (let i = 0; i < outer; i++) {
    for (let j = 0; j < middle; j++) {
      let to = i * stepOuter + j * stepMiddle;
      for (let k = 0; k < inner; k++, to += stepInner) values[to] = memory[from++] as number;
    }
  }
  return values;
}

/** A tensor's values in memory order. @param values as many as the shape says */
export function fromPytorch(tensor: TensorLayout, values: Float32Array): Float32Array {
  const memory = new Float32Array(values.length);
  const [[outer, stepOuter], [middle, stepMiddle], [inner, stepInner]] = loops(tensor);
  let to = 0;
  for (let i = 0; i < outer; i++) {
    for (let j = 0; j < middle; j++) {
      let from = i * stepOuter + j * stepMiddle;
      for (let k = 0; k < inner; k++, from += stepInner) memory[to++] = values[from] as number;
    }
  }
  return memory;
}

/** How often to go round, and how far one round is in PyTorch's order. */
type Loop = readonly [count: number, step: number];

/** The loops that pass over memory in order, outermost first. */
function loops({ shape, layout }: TensorLayout): readonly [Loop, Loop, Loop] {
  const once: Loop = [1, 0];
  if (layout.kind === 'vector') return [once, once, [shape[0] as number, 1]];
  if (layout.kind === 'linear') {
    const [rows, columns] = shape as [number, number];
    const channels = layout.flattened?.channels ?? rows;
    const places = rows / channels;
    return [
      [places, 1],
      [channels, places],
      [columns, rows],
    ];
  }
  const [height, width, channels, last] = shape as [number, number, number, number];
  const places = height * width;
  // One filter per channel is a convolution of one input channel whose filters are the channels.
  const [inputs, filters] = layout.kind === 'conv2d' ? [channels, last] : [1, channels];
  return [
    [places, 1],
    [inputs, places],
    [filters, inputs * places],
  ];
}
