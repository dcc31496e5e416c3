/** Explicit ownership of tensors, for code that runs outside tfjs's tidy. */
import { type Tensor, tf } from './tf.ts';

/** Marks a tensor to be disposed of at the scope's end, and answers it. */
export type Keep = <T extends Tensor>(tensor: T) => T;

/** Runs `body` and disposes of every tensor that it kept. */
export function withTensors<T>(body: (keep: Keep) => T): T {
  const kept: Tensor[] = [];
  try {
    return body((tensor) => {
      kept.push(tensor);
      return tensor;
    });
  } finally {
    tf.dispose(kept);
  }
}
