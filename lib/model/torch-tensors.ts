/** PyTorch's strided tensors → values in row-major order, every size checked before anything is allocated. */
import { StillhouseError } from '../base/errors.ts';
import { readNumbers } from './number-types.ts';
import type { NamedTensor, NamedTensors } from './safetensors.ts';
import { isSize, type TorchStorage, type TorchTensor } from './torch-objects.ts';

/** More dimensions than any tensor of a model has. */
const RANK_MAX = 32;

interface Strided {
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly size: number;
}

/**
 * @param dataOf the bytes of a storage, exactly as many as its length and type say
 * @param valuesMax how many values all tensors may have together: a stride of 0 repeats values without end
 * @param where names the file in errors.
 * @throws StillhouseError INVALID_ARGUMENT, `field` naming the tensor
 */
export function readTensors(
  tensors: ReadonlyMap<string, TorchTensor>,
  dataOf: (storage: TorchStorage) => Uint8Array,
  valuesMax: number,
  where: string,
): NamedTensors {
  const plans = new Map<string, Strided>();
  let total = 0;
  for (const [name, tensor] of tensors) {
    const plan = checkTensor(name, tensor, where);
    total += plan.size;
    if (total > valuesMax) throw refuse(where, name, `brings all tensors to ${total} values, in ${valuesMax} bytes`);
    plans.set(name, plan);
  }
  // So that numbers which no tensor needs any more take no memory.
  const lastOf = new Map([...tensors].map(([name, { storage }]) => [storage, name]));
  const numbers = new Map<TorchStorage, Float32Array>();
  const found = new Map<string, NamedTensor>();
  for (const [name, plan] of plans) {
    const { storage } = tensors.get(name) as TorchTensor;
    const values = numbers.get(storage) ?? readNumbers(storage.type, dataOf(storage));
    if (lastOf.get(storage) === name) numbers.delete(storage);
    else numbers.set(storage, values);
    found.set(name, { shape: plan.shape, values: gather(values, plan) });
  }
  return found;
}

function checkTensor(name: string, { storage, offset, shape, strides }: TorchTensor, where: string): Strided {
  if (!isSizes(shape)) throw refuse(where, name, 'has a shape that is not a short list of whole numbers');
  if (!isSizes(strides) || strides.length !== shape.length) {
    throw refuse(where, name, `has strides that are not ${shape.length} whole numbers`);
  }
  if (!isSize(offset)) throw refuse(where, name, 'has an offset that is not a whole number');
  const size = shape.reduce((product, length) => product * length, 1);
  const last = shape.reduce((at, length, axis) => at + (length - 1) * (strides[axis] as number), offset);
  if (!Number.isSafeInteger(size)) throw refuse(where, name, `has a shape [${shape}] that is too large`);
  if (size > 0 && !(last < storage.length)) {
    throw refuse(where, name, `reaches value ${last} of a storage that has ${storage.length}`);
  }
  return { offset, shape, strides, size };
}

function gather(values: Float32Array, { offset, shape, strides, size }: Strided): Float32Array {
  const gathered = new Float32Array(size);
  const place = shape.map(() => 0);
  let from = offset;
  for (let index = 0; index < size; index++) {
    gathered[index] = values[from] as number;
    // On to the next place, row-major: the last axis runs fastest.
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const stride = strides[axis] as number;
      place[axis] = (place[axis] as number) + 1;
      from += stride;
      if (place[axis] !== shape[axis]) break;
      from -= stride * (shape[axis] as number);
      place[axis] = 0;
    }
  }
  return gathered;
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= RANK_MAX && value.every(isSize);
}

function refuse(where: string, tensor: string, problem: string): StillhouseError {
  const shown = JSON.stringify(tensor.slice(0, 80));
  return new StillhouseError('INVALID_ARGUMENT', `${where}: tensor ${shown} ${problem}`, { field: tensor });
}
