/** Mean and standard deviation by which a model's pixels are normalised. */
import { channelStatistics, STATISTICS_SAMPLES } from '../data/channel-statistics.ts';
import type { ChannelStatistics, Dataset } from '../data/dataset.ts';
import type { NormalizeSpec } from './job-spec.ts';

/** Of the training images: ImageNet's as torchvision's weights have them, CIFAR-10's as they are. */
const PRESETS = {
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  cifar10: { mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] },
} as const;

/**
 * What the job says; where it leaves it open, the data set's statistics, or those of some of its training images.
 *
 * @param train training samples, ascending
 */
export async function normalization(
  normalize: NormalizeSpec,
  dataset: Dataset,
  train: Uint32Array,
): Promise<ChannelStatistics> {
  if (typeof normalize === 'object') return normalize;
  if (normalize !== 'auto') return PRESETS[normalize];
  return dataset.statistics ?? (await channelStatistics(dataset, looked(dataset, train)));
}

/** The first ones, which are as good as any: import has shuffled. Of a pair of domains those come last that are the source's. */
function looked({ sourceIds }: Dataset, train: Uint32Array): Uint32Array {
  if (sourceIds.length === 0 || train.length <= STATISTICS_SAMPLES) return train;
  return Uint32Array.from(
    { length: STATISTICS_SAMPLES },
    (_, index) => train[Math.floor((index * train.length) / STATISTICS_SAMPLES)] as number,
  );
}
