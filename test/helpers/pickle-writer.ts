/** Pickles and the files of PyTorch around them, written opcode by opcode: what no honest writer would write, too. */
import { crc32, deflateRawSync } from 'node:zlib';

const text = (value: string) => Buffer.from(value, 'utf8');

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

/** Opcodes by name, with their arguments. */
export const op = {
  proto: (version = 2) => Buffer.of(0x80, version),
  global: (module: string, name: string) => text(`c${module}\n${name}\n`),
  stackGlobal: (module: string, name: string) => Buffer.concat([op.string(module), op.string(name), Buffer.of(0x93)]),
  inst: (module: string, name: string) => text(`i${module}\n${name}\n`),
  string: (value: string) => Buffer.concat([text('X'), uint32(text(value).length), text(value)]),
  int: (value: number) => Buffer.concat([text('J'), uint32(value)]),
  /** Any whole number, 8 bytes. */
  long: (value: bigint) => {
    const bytes = Buffer.alloc(10);
    bytes[0] = 0x8a;
    bytes[1] = 8;
    bytes.writeBigInt64LE(value, 2);
    return bytes;
  },
  float: (value: number) => {
    const bytes = Buffer.alloc(9);
    bytes[0] = 0x47;
    bytes.writeDoubleBE(value, 1);
    return bytes;
  },
  mark: text('('),
  tuple: text('t'),
  tuple1: Buffer.of(0x85),
  tuple2: Buffer.of(0x86),
  list: text('l'),
  emptyTuple: text(')'),
  emptyDict: text('}'),
  setItems: text('u'),
  none: text('N'),
  put: (index: number) => Buffer.of(0x71, index),
  get: (index: number) => Buffer.of(0x68, index),
  false: Buffer.of(0x89),
  reduce: text('R'),
  build: text('b'),
  obj: text('o'),
  newObj: Buffer.of(0x81),
  newObjEx: Buffer.of(0x92),
  persistent: text('Q'),
  stop: text('.'),
};

export function tupleOf(...values: readonly Buffer[]): Buffer {
  return Buffer.concat([op.mark, ...values, op.tuple]);
}

export interface TensorPickle {
  readonly storage?: Buffer;
  readonly key?: string;
  readonly length?: bigint;
  readonly offset?: bigint;
  readonly shape?: readonly bigint[];
  readonly strides?: readonly bigint[];
}

/** A tensor as `torch.save` describes it; by default [4] over a storage "0" of 4 floats. */
export function tensorPickle(options: TensorPickle = {}): Buffer {
  const { key = '0', length = 4n, offset = 0n, shape = [4n], strides = [1n] } = options;
  const storage = options.storage ?? op.global('torch', 'FloatStorage');
  const id = tupleOf(op.string('storage'), storage, op.string(key), op.string('cpu'), op.long(length));
  const longs = (values: readonly bigint[]) => tupleOf(...values.map(op.long));
  const hooks = Buffer.concat([op.global('collections', 'OrderedDict'), op.emptyTuple, op.reduce]);
  const args = [Buffer.concat([id, op.persistent]), op.long(offset), longs(shape), longs(strides), op.false, hooks];
  return Buffer.concat([op.global('torch._utils', '_rebuild_tensor_v2'), tupleOf(...args), op.reduce]);
}

/** A pickle of a dict. */
export function dictPickle(entries: Readonly<Record<string, Buffer>>): Buffer {
  const items = Object.entries(entries).flatMap(([name, value]) => [op.string(name), value]);
  return Buffer.concat([op.proto(), op.emptyDict, op.mark, ...items, op.setItems, op.stop]);
}

export interface ZipEntry {
  readonly name: string;
  readonly content: Uint8Array;
  readonly deflate?: boolean;
  /** What the directory claims, where that is not the truth. */
  readonly claimedSize?: number;
  readonly crc?: number;
}

/** A zip archive. */
export function zipOf(entries: readonly ZipEntry[]): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, content, deflate = false, claimedSize, crc } of entries) {
    const data = deflate ? deflateRawSync(content) : Buffer.from(content);
    // From the version that is needed to the sizes, which local header and directory have in common.
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(deflate ? 8 : 0, 4);
    common.writeUInt32LE(crc ?? crc32(content), 10);
    common.writeUInt32LE(claimedSize !== undefined && !deflate ? claimedSize : data.length, 14);
    common.writeUInt32LE(claimedSize ?? content.length, 18);
    common.writeUInt16LE(text(name).length, 22);
    const local = Buffer.concat([uint32(0x04034b50), common, text(name), data]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(at, 10);
    directory.push(Buffer.concat([uint32(0x02014b50), Buffer.of(20, 0), common, tail, text(name)]));
    files.push(local);
    at += local.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...files, listing, end]);
}

/** A file of PyTorch's zip format around a pickle, with a storage "0" of 4 floats: 1, 2, 3, 4. */
export function torchZip(pickle: Uint8Array, more: readonly ZipEntry[] = []): Buffer {
  return zipOf([
    { name: 'model/data.pkl', content: pickle },
    { name: 'model/byteorder', content: text('little') },
    { name: 'model/data/0', content: new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer) },
    ...more,
  ]);
}

const MAGIC = Buffer.of(0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e);

/** The same in the legacy format; `systemInfo` may claim another byte order. */
export function torchLegacy(pickle: Uint8Array, { littleEndian = true, storageLength = 4n } = {}): Buffer {
  const flag = Buffer.of(littleEndian ? 0x88 : 0x89);
  const keys = Buffer.concat([op.proto(), op.mark, op.string('0'), op.list, op.stop]);
  const length = Buffer.alloc(8);
  length.writeBigInt64LE(storageLength);
  const version = Buffer.concat([op.proto(), op.int(1001), op.stop]);
  const values = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
  return Buffer.concat([MAGIC, version, dictPickle({ little_endian: flag }), pickle, keys, length, values]);
}
