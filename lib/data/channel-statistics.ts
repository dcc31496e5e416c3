/** Mean and standard deviation per channel, for a model's preprocessing. */
import type { Dataset } from './dataset.ts';

/** Images that are looked at: enough for three digits. */
const SAMPLES = 1000;

/** The same for every process that asks with the same ids. Pixels count as 0..1. @param ids of the training split */
export function channelStatistics(dataset: Dataset, ids: Uint32Array): { mean: number[]; std: number[] } {
  const { channels } = dataset.image;
  const images = dataset.readImages(ids.subarray(0, SAMPLES));
  const pixels = images.length / channels;
  const statistics = Array.from({ length: channels }, (_, channel) => {
    let sum = 0;
    let squares = 0;
    for (let index = channel; index < images.length; index += channels) {
      const value = (images[index] as number) / 255;
      sum += value;
      squares += value * value;
    }
    const mean = sum / pixels;
    // A channel without any contrast is left unscaled.
    return { mean, std: Math.sqrt(Math.max(0, squares / pixels - mean * mean)) || 1 };
  });
  return { mean: statistics.map(({ mean }) => mean), std: statistics.map(({ std }) => std) };
}
