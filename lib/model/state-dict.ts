/** Finds the state dict in what a PyTorch file holds: the object itself, or an entry of a checkpoint. */
import { StillhouseError } from '../base/errors.ts';
import { TorchTensor } from './torch-objects.ts';

/** Under which names checkpoints keep it, the likeliest first. */
const STATE_DICT_KEYS = ['state_dict', 'model_state_dict', 'model', 'net', 'weights', 'student', 'teacher'];
const SHOWN_KEYS = 10;

export interface FoundStateDict {
  readonly entries: ReadonlyMap<string, TorchTensor>;
  /** The key under which it was found; empty for the object itself. */
  readonly stateDict: string;
  /** Names of what is no tensor of it: other entries of the checkpoint, or of the dict itself. */
  readonly others: readonly string[];
}

/** @throws StillhouseError INVALID_ARGUMENT when there is none, with what is there instead */
export function findStateDict(value: unknown, where: string): FoundStateDict {
  if (value instanceof Map) {
    const own = tensorsOf(value);
    if (own.size > 0) return { entries: own, stateDict: '', others: namesBeside(value, (entry) => isTensor(entry)) };
    for (const key of STATE_DICT_KEYS) {
      const candidate = value.get(key);
      if (!(candidate instanceof Map)) continue;
      const entries = tensorsOf(candidate);
      if (entries.size === 0) continue;
      const others = namesBeside(value, (entry) => entry === candidate);
      return { entries, stateDict: key, others };
    }
  }
  const keys = value instanceof Map ? namesBeside(value, () => false) : [];
  const holds = keys.length === 0 ? 'no dict' : `a dict of ${keys.slice(0, SHOWN_KEYS).join(', ')}`;
  throw new StillhouseError('INVALID_ARGUMENT', `${where}: there is no state dict in it, but ${holds}`, {
    field: where,
    hint: `it is looked for at the top and under ${STATE_DICT_KEYS.join(', ')}`,
  });
}

function tensorsOf(dict: ReadonlyMap<unknown, unknown>): Map<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>();
  for (const [name, value] of dict) if (typeof name === 'string' && isTensor(value)) tensors.set(name, value);
  return tensors;
}

function isTensor(value: unknown): value is TorchTensor {
  return value instanceof TorchTensor;
}

function namesBeside(dict: ReadonlyMap<unknown, unknown>, isPart: (value: unknown) => boolean): string[] {
  return [...dict].filter(([, value]) => !isPart(value)).map(([name]) => (typeof name === 'string' ? name : '?'));
}
