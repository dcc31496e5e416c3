/** What a training ends with whose gradients or loss are not finite. */
import { StillhouseError } from '../base/errors.ts';

export function divergence(step: number): StillhouseError {
  return new StillhouseError('ABORTED', `training diverged at step ${step}: the averaged gradients are not finite`, {
    field: 'train.optimizer.learningRate',
    hint: 'lower the learning rate or warm it up',
  });
}
