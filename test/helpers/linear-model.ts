/** Small real models for serving tests: logits are a linear function of an image's mean colour. */
import { sha256 } from '../../lib/base/digest.ts';
import type { ModelManifest } from '../../lib/model/artefact.ts';
import type { Predictor } from '../../lib/model/predictor.ts';
import { smallManifest } from './small-model.ts';

export const SIZE = { height: 4, width: 4 };
const PIXELS = SIZE.height * SIZE.width;

/** [red, green, blue] per output: logit = Σ weight · mean / 255. */
export type ColourWeights = readonly (readonly [number, number, number])[];

export class LinearPredictor implements Predictor {
  readonly weights: ColourWeights;
  isClosed = false;
  /** Set to hold predictions back until it resolves. */
  hold: Promise<unknown> | undefined;
  calls = 0;

  constructor(weights: ColourWeights) {
    this.weights = weights;
  }

  async predict(images: Float32Array, n: number): Promise<Float32Array> {
    this.calls++;
    await this.hold;
    if (this.isClosed) throw new Error('predict after close');
    return logitsOfColours(this.weights, images, n);
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}

export function logitsOfColours(weights: ColourWeights, images: ArrayLike<number>, n: number): Float32Array {
  const logits = new Float32Array(n * weights.length);
  const pixels = images.length / n / 3;
  for (let row = 0; row < n; row++) {
    const mean = [0, 1, 2].map((channel) => {
      let sum = 0;
      for (let pixel = 0; pixel < pixels; pixel++) sum += images[(row * pixels + pixel) * 3 + channel] as number;
      return sum / pixels / 255;
    });
    weights.forEach((weight, output) => {
      logits[row * weights.length + output] = weight.reduce(
        (sum, w, channel) => sum + w * (mean[channel] as number),
        0,
      );
    });
  }
  return logits;
}

export function manifestOf(
  name: string,
  classNames: readonly string[],
  { dustbin = false, size = SIZE }: { readonly dustbin?: boolean; readonly size?: typeof SIZE } = {},
): ModelManifest {
  return {
    ...smallManifest,
    name,
    classNames,
    dustbin,
    classIds: classNames.map((_, index) => index),
    parentClassNames: classNames,
    input: { ...size, channels: 3 },
    weights: { file: 'weights.safetensors', digest: sha256(name), parameters: 0 },
  };
}

/** `n` images of random colours, [n, 4, 4, 3], 0..255. */
export function randomImages(n: number, next: (bound: number) => number): Uint8Array {
  return Uint8Array.from({ length: n * PIXELS * 3 }, () => next(256));
}
