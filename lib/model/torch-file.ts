/**
 * Weights as `torch.save` writes them: a zip archive (since PyTorch 1.6) or the legacy sequence of pickles and storages. Both
 * hold a pickle that describes tensors over storages; see `torch/serialization.py`.
 */
import { StillhouseError } from '../base/errors.ts';
import { NUMBER_BYTES, type NumberType } from './number-types.ts';
import { unpickle } from './pickle.ts';
import type { NamedTensors } from './safetensors.ts';
import { findStateDict } from './state-dict.ts';
import { TorchHost, type TorchStorage } from './torch-objects.ts';
import { readTensors } from './torch-tensors.ts';
import { readZip } from './zip.ts';

export interface TorchWeights {
  readonly tensors: NamedTensors;
  /** What each tensor's numbers are in the file. */
  readonly types: ReadonlyMap<string, NumberType>;
  /** Where in the file's object the state dict was found, e.g. `state_dict`; empty when it is the object itself. */
  readonly stateDict: string;
  /** What else the file holds beside the state dict, by name. */
  readonly others: readonly string[];
}

const MAGIC_NUMBER = 0x1950a86a20f9469cfc6cn;
const LEGACY_VERSION = 1001;
/** A legacy file begins so: protocol 2, a long integer of 10 bytes, the magic number. */
const LEGACY_START = Uint8Array.of(0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19);
const ZIP_START = Uint8Array.of(0x50, 0x4b, 0x03, 0x04);

export function isTorchZip(bytes: Uint8Array): boolean {
  return startsWith(bytes, ZIP_START);
}

export function isTorchLegacy(bytes: Uint8Array): boolean {
  return startsWith(bytes, LEGACY_START);
}

/**
 * Decodes the zip format.
 *
 * @param where names the file in errors.
 * @throws StillhouseError INVALID_ARGUMENT for a file that is damaged, hostile, big-endian, holds more than tensors and plain
 *   data, or has no state dict; `field` is the tensor's name where one is at fault.
 */
export async function decodeTorchZip(bytes: Uint8Array, where: string): Promise<TorchWeights> {
  const files = await readZip(bytes, where);
  const folder = folderOf(files, where);
  const byteOrder = files.get(`${folder}byteorder`);
  if (byteOrder !== undefined) requireLittleEndian(new TextDecoder().decode(byteOrder) === 'little', where);
  const host = new TorchHost(where);
  const { value } = unpickle(files.get(`${folder}data.pkl`) as Uint8Array, 0, host, where);
  const dataOf = (storage: TorchStorage): Uint8Array => {
    const data = files.get(`${folder}data/${storage.key}`);
    const expected = storage.length * NUMBER_BYTES[storage.type];
    if (data?.length === expected) return data;
    const found = data === undefined ? 'is missing' : `has ${data.length} bytes, expected ${expected}`;
    throw refuse(where, `the storage ${JSON.stringify(storage.key)} ${found}`);
  };
  let bytesOfAll = 0;
  for (const content of files.values()) bytesOfAll += content.length;
  return collect(value, dataOf, bytesOfAll, where);
}

/** Decodes the legacy format; the same parameters and errors. */
export function decodeTorchLegacy(bytes: Uint8Array, where: string): TorchWeights {
  const host = new TorchHost(where);
  let at = 0;
  const next = (): unknown => {
    const { value, end } = unpickle(bytes, at, host, where);
    at = end;
    return value;
  };
  if (next() !== MAGIC_NUMBER) throw refuse(where, 'it does not begin with the magic number of PyTorch');
  const version = next();
  if (version !== LEGACY_VERSION) throw refuse(where, `it is of PyTorch’s legacy version ${String(version)}`);
  const system = next();
  requireLittleEndian(system instanceof Map && system.get('little_endian') === true, where);
  const value = next();
  const data = readStorages(bytes, next(), () => at, host, where);
  const dataOf = (storage: TorchStorage): Uint8Array => {
    const found = data.get(storage.key);
    if (found !== undefined) return found;
    throw refuse(where, `the storage ${JSON.stringify(storage.key)} is missing`);
  };
  return collect(value, dataOf, bytes.length, where);
}

/** Behind the pickles: for each key its number of values in 8 bytes, then the values. */
function readStorages(
  bytes: Uint8Array,
  keys: unknown,
  start: () => number,
  host: TorchHost,
  where: string,
): ReadonlyMap<string, Uint8Array> {
  if (!Array.isArray(keys)) throw refuse(where, 'it has no list of storages');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const data = new Map<string, Uint8Array>();
  let at = start();
  for (const key of keys as unknown[]) {
    const storage = typeof key === 'string' ? host.storages.get(key) : undefined;
    if (storage === undefined) throw refuse(where, 'it lists a storage that no tensor names');
    const shown = `the storage ${JSON.stringify(storage.key)}`;
    if (data.has(storage.key)) throw refuse(where, `${shown} is there twice`);
    if (bytes.length - at < 8) throw refuse(where, `it is cut off before ${shown}`);
    const length = view.getBigUint64(at, true);
    if (length !== BigInt(storage.length)) {
      throw refuse(where, `${shown} has ${length} values, its description says ${storage.length}`);
    }
    const begin = at + 8;
    at = begin + storage.length * NUMBER_BYTES[storage.type];
    if (at > bytes.length) throw refuse(where, `it is cut off in ${shown}`);
    data.set(storage.key, bytes.subarray(begin, at));
  }
  if (at !== bytes.length) throw refuse(where, `it has ${bytes.length - at} bytes behind its last storage`);
  return data;
}

function collect(
  value: unknown,
  dataOf: (storage: TorchStorage) => Uint8Array,
  valuesMax: number,
  where: string,
): TorchWeights {
  const { entries, stateDict, others } = findStateDict(value, where);
  const tensors = readTensors(entries, dataOf, valuesMax, where);
  const types = new Map([...entries].map(([name, { storage }]) => [name, storage.type]));
  return { tensors, types, stateDict, others };
}

/** The one folder with a `data.pkl`; it is called as the file was when it was written. */
function folderOf(files: ReadonlyMap<string, Uint8Array>, where: string): string {
  const found = [...files.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (found.length === 1 && found[0] !== undefined) {
    const folder = found[0].slice(0, -'data.pkl'.length);
    if (!files.has(`${folder}constants.pkl`)) return folder;
    throw refuse(where, 'it is a TorchScript program', 'save the weights alone: torch.save(model.state_dict(), file)');
  }
  throw refuse(where, 'it is a zip archive that torch.save has not written');
}

function requireLittleEndian(isLittle: boolean, where: string): void {
  if (!isLittle) throw refuse(where, 'its numbers are big-endian', 'write it again on a little-endian machine');
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return start.every((byte, index) => bytes[index] === byte);
}

function refuse(where: string, problem: string, hint?: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `${where}: ${problem}`, { field: where, ...(hint && { hint }) });
}
