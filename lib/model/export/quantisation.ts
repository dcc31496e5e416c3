/**
 * Numbers in eight bits (Jacob et al. 2018, arXiv:1712.05877): a real value is scale x (integer - zero point). Activations
 * are uint8 with one scale per tensor; weights are int8 around zero with one scale per output channel.
 */

export interface Range {
  readonly min: number;
  readonly max: number;
}

export interface ActivationScale {
  readonly scale: number;
  readonly zeroPoint: number;
}

export interface QuantisedWeight {
  readonly values: Int8Array;
  /** One per output channel, float32. */
  readonly scales: Float32Array;
}

const UINT8_MAX = 255;
const INT8_MAX = 127;
/** A bias has to fit into 32 bits with room for the sum that is added to it. */
const BIAS_MAX = 2 ** 30;

/** The scale that covers a range. Zero is always in it and met exactly: padding and ReLU need that. */
export function activationScale({ min, max }: Range): ActivationScale {
  const low = Math.min(min, 0);
  const high = Math.max(max, 0);
  const scale = Math.fround((high - low) / UINT8_MAX);
  // A value that is always zero.
  if (scale === 0) return { scale: 1, zeroPoint: 0 };
  return { scale, zeroPoint: Math.min(UINT8_MAX, Math.max(0, Math.round(-low / scale))) };
}

/**
 * @param weight [out, ...], row-major
 * @param inputScale of the activations that the weights meet: a channel's scale times this is the step of its bias
 */
export function quantiseWeight(weight: Float32Array, bias: Float32Array, inputScale: number): QuantisedWeight {
  const perChannel = weight.length / bias.length;
  const values = new Int8Array(weight.length);
  const scales = Float32Array.from(bias, (offset, channel) => {
    const row = weight.subarray(channel * perChannel, (channel + 1) * perChannel);
    const largest = row.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    // A channel of tiny weights takes a coarser scale than they ask for where its bias would not fit otherwise.
    return Math.max(largest / INT8_MAX, Math.abs(offset) / (inputScale * BIAS_MAX)) || 1;
  });
  for (const [channel, scale] of scales.entries()) {
    for (let at = channel * perChannel; at < (channel + 1) * perChannel; at++) {
      const rounded = Math.round((weight[at] as number) / scale);
      values[at] = Math.max(-INT8_MAX, Math.min(INT8_MAX, rounded));
    }
  }
  return { values, scales };
}

/** In steps of input scale x weight scale, as the sum of products has them. */
export function quantiseBias(bias: Float32Array, scales: Float32Array): Int32Array {
  return Int32Array.from(bias, (value, channel) => Math.round(value / (scales[channel] as number)));
}
