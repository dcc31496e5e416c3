/** Mean and standard deviation per channel, for a model's preprocessing. */
import type { ChannelStatistics, Dataset } from './dataset.ts';
import { giveBackRoom } from './image-room.ts';

/** Images that are looked at: enough for three digits. */
export const STATISTICS_SAMPLES = 1000;
/** Images that are in memory at a time. */
const BATCH = 50;

/** The same for every process that asks with the same ids. Pixels count as 0..1. @param ids of the training split */
export async function channelStatistics(dataset: Dataset, ids: Uint32Array): Promise<ChannelStatistics> {
  const { height, width, channels } = dataset.image;
  const sampled = ids.subarray(0, STATISTICS_SAMPLES);
  const sums = new Float64Array(channels);
  const squares = new Float64Array(channels);
  for (let from = 0; from < sampled.length; from += BATCH) {
    const images = await dataset.load(sampled.subarray(from, from + BATCH));
    for (let index = 0; index < images.length; index++) {
      const channel = index % channels;
      const value = (images[index] as number) / 255;
      sums[channel] = (sums[channel] as number) + value;
      squares[channel] = (squares[channel] as number) + value * value;
    }
    giveBackRoom(images);
  }
  const pixels = sampled.length * height * width;
  const mean = Array.from(sums, (sum) => sum / pixels);
  const std = mean.map((value, channel) => {
    const variance = (squares[channel] as number) / pixels - value * value;
    // A channel without any contrast is left unscaled.
    return Math.sqrt(Math.max(0, variance)) || 1;
  });
  return { mean, std };
}
