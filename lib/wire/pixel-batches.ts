/** Where students send images instead of their names (`distill.request: pixels`). */
import type { ImageShape } from '../data/manifest.ts';
import { requireRoom } from './batch-messages.ts';
import type { JobSpec } from './job-spec.ts';

/** @throws INVALID_ARGUMENT when a micro-batch of images would be larger than a message may be */
export function requirePixelsFit(job: Pick<JobSpec, 'distill' | 'train'>, images: ImageShape): void {
  if (job.distill.request !== 'pixels') return;
  const { height, width, channels } = images;
  const cause = 'distill.request is pixels';
  requireRoom(job, height * width * channels, { cause, remedy: 'distill.request: ids' });
}
