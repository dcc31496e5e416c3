/** What a PyTorch pickle may name: storages, tensors over them, and the few plain classes of a state dict. */
import { StillhouseError } from '../base/errors.ts';
import type { NumberType } from './number-types.ts';
import { PickleGlobal, type PickleHost } from './pickle-machine.ts';

/** Numbers in the file, found by their key. Tensors may share one. */
export interface TorchStorage {
  readonly key: string;
  readonly type: NumberType;
  /** Numbers in it. */
  readonly length: number;
}

/** A tensor as PyTorch describes it; nothing of it has been checked. */
export class TorchTensor {
  readonly storage: TorchStorage;
  readonly offset: unknown;
  readonly shape: unknown;
  readonly strides: unknown;

  constructor([storage, offset, shape, strides]: readonly unknown[]) {
    this.storage = storage as TorchStorage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

const STORAGES: Readonly<Record<string, NumberType>> = {
  FloatStorage: 'F32',
  DoubleStorage: 'F64',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};

/** Gives tensors and plain data, refuses everything else, and remembers the storages. */
export class TorchHost implements PickleHost {
  /** All that the pickle has named, by key. */
  readonly storages = new Map<string, TorchStorage>();
  readonly #where: string;
  readonly #globals: ReadonlyMap<string, PickleGlobal>;

  constructor(where: string) {
    this.#where = where;
    const globals = [
      new PickleGlobal('collections.OrderedDict', (args) => this.#orderedDict(args)),
      new PickleGlobal('torch.Size', ([sizes]) => sizes ?? []),
      new PickleGlobal('torch._utils._rebuild_tensor_v2', (args) => this.#tensor(args)),
      new PickleGlobal('torch._utils._rebuild_parameter', ([tensor]) => this.#parameter(tensor)),
      ...Object.keys(STORAGES).map((name) => new PickleGlobal(`torch.${name}`, null)),
    ];
    this.#globals = new Map(globals.map((global) => [global.name, global]));
  }

  global(module: string, name: string): PickleGlobal {
    const found = this.#globals.get(`${module}.${name}`);
    if (found !== undefined) return found;
    const shown = JSON.stringify(`${module}.${name}`.slice(0, 120));
    throw new StillhouseError(
      'INVALID_ARGUMENT',
      `${this.#where}: the pickle holds ${shown}, which is no part of a tensor; it is refused, and nothing of it was run`,
      {
        field: this.#where,
        hint: 'if you trust the file, load it in PyTorch and save the weights alone: torch.save(model.state_dict(), file)',
      },
    );
  }

  /** `('storage', type, key, device, length)`, and in the legacy format a view, which PyTorch before 0.4 wrote. */
  persistent(id: unknown): TorchStorage {
    if (!Array.isArray(id) || id[0] !== 'storage') throw this.#refuse('refers to an object that is no storage');
    const [, global, key, , length, view] = id as unknown[];
    const type = global instanceof PickleGlobal ? STORAGES[global.name.slice('torch.'.length)] : undefined;
    if (type === undefined || typeof key !== 'string' || !isSize(length)) {
      throw this.#refuse('describes a storage by something else than its type, key and length');
    }
    if (view !== undefined && view !== null) throw this.#refuse('has a storage that is a view, of PyTorch before 0.4');
    const known = this.storages.get(key);
    if (known !== undefined) {
      if (known.type === type && known.length === length) return known;
      throw this.#refuse(`describes the storage ${JSON.stringify(key)} in two ways`);
    }
    const storage = { key, type, length };
    this.storages.set(key, storage);
    return storage;
  }

  #tensor(args: readonly unknown[]): TorchTensor {
    if (this.storages.get((args[0] as Partial<TorchStorage> | null)?.key ?? '') === args[0])
      return new TorchTensor(args);
    throw this.#refuse('has a tensor without a storage');
  }

  #parameter(tensor: unknown): TorchTensor {
    if (tensor instanceof TorchTensor) return tensor;
    throw this.#refuse('has a parameter that is no tensor');
  }

  /** Empty, or from a list of pairs as Python 2 wrote it. */
  #orderedDict([pairs]: readonly unknown[]): Map<unknown, unknown> {
    if (pairs === undefined) return new Map();
    if (Array.isArray(pairs) && pairs.every((pair) => Array.isArray(pair) && pair.length === 2)) return new Map(pairs);
    throw this.#refuse('has an OrderedDict that is not made of pairs');
  }

  #refuse(problem: string): StillhouseError {
    return new StillhouseError('INVALID_ARGUMENT', `${this.#where}: the pickle ${problem}`, { field: this.#where });
  }
}

/** A length, an offset or a stride. */
export function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
