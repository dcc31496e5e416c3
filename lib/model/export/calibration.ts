/** The range of every value of a network over calibration images, found by running it. */
import { invariant } from '../../base/errors.ts';
import { OnnxSession } from '../../engine/onnx-runtime.ts';
import type { Weights } from './fold-batch-norm.ts';
import { encodeFloatOnnx, type OnnxOptions } from './onnx-float.ts';
import type { Range } from './quantisation.ts';

/** Pixels [n, height, width, channels], RGB 0..255, and how many images they are. */
export interface ImageBatch {
  readonly pixels: Float32Array;
  readonly count: number;
}

/** @param values to observe */
export async function observeRanges(
  weights: Weights,
  preprocessing: OnnxOptions['preprocessing'],
  values: readonly string[],
  batches: AsyncIterable<ImageBatch>,
): Promise<Map<string, Range>> {
  const model = encodeFloatOnnx(weights, { preprocessing, batchSize: 'dynamic', metadata: {} }, values);
  const session = await OnnxSession.open(model);
  const { height, width, channels } = weights.network.images;
  const ranges = new Map<string, Range>();
  try {
    for await (const { pixels, count } of batches) {
      const outputs = await session.run(pixels, [count, height, width, channels]);
      for (const name of values) {
        const output = outputs.get(name);
        invariant(output !== undefined, `the value ${name} is observed`);
        ranges.set(name, widen(ranges.get(name), output));
      }
    }
  } finally {
    await session.close();
  }
  return ranges;
}

function widen(range: Range | undefined, values: Float32Array): Range {
  let { min, max } = range ?? { min: 0, max: 0 };
  for (const value of values) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min, max };
}
