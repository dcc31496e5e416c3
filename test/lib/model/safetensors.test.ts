import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import type { Random } from '../../../lib/base/random.ts';
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from '../../../lib/model/safetensors.ts';
import { between, forCases } from '../../helpers/property.ts';

/** A file as the format's page describes it, from any header text and any data. */
function craft(header: unknown, dataBytes = 0, headerLength?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, headerLength ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

function randomTensors(random: Random): Map<string, NamedTensor> {
  const tensors = new Map<string, NamedTensor>();
  for (let index = between(random, 0, 6); index > 0; index--) {
    const shape = Array.from({ length: random.nextInt(4) }, () => random.nextInt(5));
    const size = shape.reduce((product, length) => product * length, 1);
    tensors.set(`layer${random.nextInt(100)}.weight`, {
      shape,
      values: Float32Array.from({ length: size }, () => random.nextNormal()),
    });
  }
  return tensors;
}

test('tensors survive a round trip bit for bit, wherever the bytes lie in memory', (t) =>
  forCases(t, 100, (random) => {
    const tensors = randomTensors(random);
    const bytes = encodeSafetensors(tensors, { format: 'pt', note: 'é "quoted"' });
    const shifted = new Uint8Array(bytes.length + 3).subarray(3);
    shifted.set(bytes);
    for (const file of [bytes, shifted]) {
      const decoded = decodeSafetensors(file, 'w.safetensors');
      t.deepEqual(new Map([...decoded.tensors].sort()), new Map([...tensors].sort()));
      t.deepEqual(decoded.metadata, { format: 'pt', note: 'é "quoted"' });
    }
  }));

test('special values keep their bits', (t) => {
  const values = Float32Array.of(0, -0, Number.NaN, Number.POSITIVE_INFINITY, 2 ** -149, 3.4028234663852886e38);
  const { tensors } = decodeSafetensors(encodeSafetensors(new Map([['a', { shape: [2, 3], values }]])), 'w');
  t.deepEqual(new Uint32Array((tensors.get('a') as NamedTensor).values.buffer), new Uint32Array(values.buffer));
});

test('the bytes are those of the format, written out by hand here', (t) => {
  const bytes = encodeSafetensors(new Map([['b', { shape: [1], values: Float32Array.of(1.5) }]]));
  const header = '{"b":{"data_offsets":[0,4],"dtype":"F32","shape":[1]}}  ';
  t.is(header.length % 8, 0);
  const expected = [header.length, 0, 0, 0, 0, 0, 0, 0, ...new TextEncoder().encode(header), 0, 0, 0xc0, 0x3f];
  t.deepEqual([...bytes], expected);
});

test('the order of the map makes no difference, and values are aligned', (t) =>
  forCases(t, 50, (random) => {
    const tensors = randomTensors(random);
    const bytes = encodeSafetensors(tensors);
    t.deepEqual(encodeSafetensors(new Map([...tensors].reverse())), bytes);
    t.is(Number(new DataView(bytes.buffer).getBigUint64(0, true)) % 8, 0);
  }));

test('what another writer may do is read: any order, padding, escapes, odd names, no tensors', (t) => {
  const header =
    '{"__proto__":{"shape":[],"dtype":"F32","data_offsets":[4,8]},"\\u0061":{"dtype":"F32","shape":[1,1],' +
    '"data_offsets":[0,4]},"empty":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]},"__metadata__":{}}     ';
  const { tensors } = decodeSafetensors(craft(header, 8), 'w');
  t.deepEqual([...tensors.keys()], ['a', 'empty', '__proto__']);
  t.deepEqual(tensors.get('__proto__')?.shape, []);
  t.is(tensors.get('empty')?.values.length, 0);
  t.is(decodeSafetensors(craft('{}'), 'w').tensors.size, 0);
  const odd = new Map([['__proto__', { shape: [1], values: Float32Array.of(7) }]]);
  t.deepEqual(decodeSafetensors(encodeSafetensors(odd), 'w').tensors, odd);
});

test('decoded tensors are copies', (t) => {
  const bytes = encodeSafetensors(new Map([['a', { shape: [1], values: Float32Array.of(7) }]]));
  const { tensors } = decodeSafetensors(bytes, 'w');
  bytes.fill(0);
  t.is(tensors.get('a')?.values[0], 7);
});

test('a tensor that does not fit its shape is not encoded', (t) => {
  const values = Float32Array.of(1, 2, 3);
  t.throws(() => encodeSafetensors(new Map([['a', { shape: [2], values }]])), { message: /tensor a/ });
  t.throws(() => encodeSafetensors(new Map([['__metadata__', { shape: [3], values }]])), { message: /__metadata__/ });
});

const written: [string, number, (view: DataView, at: number, value: number) => void, number[]][] = [
  ['F64', 8, (view, at, value) => view.setFloat64(at, value, true), [0.1, -3, 1e300, 2 ** -149]],
  ['I64', 8, (view, at, value) => view.setBigInt64(at, BigInt(value), true), [5, -7, 2 ** 40]],
  ['I32', 4, (view, at, value) => view.setInt32(at, value, true), [5, -7, 2 ** 31 - 1]],
  ['I16', 2, (view, at, value) => view.setInt16(at, value, true), [5, -7, 32767]],
  ['I8', 1, (view, at, value) => view.setInt8(at, value), [5, -7, 127]],
  ['U8', 1, (view, at, value) => view.setUint8(at, value), [5, 255, 0]],
  ['BOOL', 1, (view, at, value) => view.setUint8(at, value), [1, 0, 1]],
  // Bit patterns, written out: 1, -2, the largest half, the smallest one, infinity.
  ['F16', 2, (view, at, value) => view.setUint16(at, value, true), [0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00]],
  ['BF16', 2, (view, at, value) => view.setUint16(at, value, true), [0x3f80, 0xc000, 0x7f80]],
];
const readAs: Record<string, number[]> = {
  F16: [1, -2, 65504, 2 ** -24, Number.POSITIVE_INFINITY],
  BF16: [1, -2, Number.POSITIVE_INFINITY],
};

for (const [dtype, bytes, write, numbers] of written) {
  test(`numbers of type ${dtype} are read as float32`, (t) => {
    const size = bytes * numbers.length;
    const file = craft({ a: { dtype, shape: [numbers.length], data_offsets: [0, size] } }, size);
    const view = new DataView(file.buffer, file.length - size);
    for (const [index, value] of numbers.entries()) write(view, bytes * index, value);
    const { tensors, types } = decodeSafetensors(file, 'w');
    t.is(types.get('a'), dtype as never);
    t.deepEqual(tensors.get('a')?.values, Float32Array.from(readAs[dtype] ?? numbers));
  });
}

test('types that are not read are refused by name', (t) => {
  for (const dtype of ['F8_E4M3', 'U16', 'U64', 'C64', 'f32', 'constructor']) {
    const file = craft({ a: { dtype, shape: [2], data_offsets: [0, 4] } }, 4);
    const error = t.throws(() => decodeSafetensors(file, 'w'), { instanceOf: StillhouseError });
    t.is(error?.code, 'UNIMPLEMENTED');
    t.is(error?.field, 'a');
    t.true(error?.message.includes(dtype));
  }
});

const f32 = (begin: number, end: number) => ({ dtype: 'F32', shape: [(end - begin) / 4], data_offsets: [begin, end] });
const hostile: [string, Uint8Array, RegExp][] = [
  ['no bytes', new Uint8Array(0), /too few/],
  ['7 bytes', new Uint8Array(7), /too few/],
  ['no header', new Uint8Array(8), /begin with \{/],
  ['a header longer than the file', craft('{}', 0, 3n), /only 2 follow/],
  ['a header of 2^64 - 1 bytes', craft('{}', 0, 0xffffffffffffffffn), /limit/],
  ['a header of 100 MB and a byte', craft('{}', 0, 100_000_001n), /limit/],
  ['a header that is not JSON', craft('{"a":'), /not JSON/],
  ['a header that is a list', craft('[]'), /begin with \{/],
  ['a header with a byte-order mark', craft('\ufeff{}'), /begin with \{/],
  ['a header with something behind it', craft('{} x'), /not JSON/],
  ['a header that is not UTF-8', craft('{"a').fill(0xff, 9), /not UTF-8/],
  ['a name twice', craft(`{"a":${JSON.stringify(f32(0, 4))},"a":${JSON.stringify(f32(4, 8))}}`, 8), /twice/],
  ['a key twice', craft('{"a":{"dtype":"F32","shape":[1],"shape":[2],"data_offsets":[0,8]}}', 8), /twice/],
  ['a tensor that is a number', craft({ a: 1 }), /not described by an object/],
  ['a tensor that is a list', craft({ a: [] }), /not described by an object/],
  ['an unknown key', craft({ a: { ...f32(0, 4), more: 1 } }, 4), /unknown key "more"/],
  ['no type', craft({ a: { shape: [1], data_offsets: [0, 4] } }, 4), /without a dtype/],
  ['no shape', craft({ a: { dtype: 'F32', data_offsets: [0, 4] } }, 4), /shape/],
  ['a negative length', craft({ a: { dtype: 'F32', shape: [-1, -1], data_offsets: [0, 4] } }, 4), /shape/],
  [
    'a length that is no whole number',
    craft({ a: { dtype: 'F32', shape: [0.5, 2], data_offsets: [0, 4] } }, 4),
    /shape/,
  ],
  ['a length beyond exact numbers', craft({ a: { dtype: 'F32', shape: [2 ** 53], data_offsets: [0, 4] } }, 4), /shape/],
  [
    'a shape that overflows',
    craft({ a: { dtype: 'F32', shape: [2 ** 40, 2 ** 40], data_offsets: [0, 4] } }, 4),
    /too large/,
  ],
  [
    'a shape that overflows to nothing',
    craft({ a: { dtype: 'F32', shape: [...new Array(31).fill(2 ** 52), 0], data_offsets: [0, 0] } }),
    /too large/,
  ],
  [
    'a shape of many dimensions',
    craft({ a: { dtype: 'F32', shape: new Array(1000).fill(1), data_offsets: [0, 4] } }, 4),
    /shape/,
  ],
  [
    'a shape that the offsets do not hold',
    craft({ a: { dtype: 'F32', shape: [2], data_offsets: [0, 4] } }, 4),
    /takes 8 bytes/,
  ],
  ['one offset', craft({ a: { dtype: 'F32', shape: [1], data_offsets: [0] } }, 4), /data_offsets/],
  ['a negative offset', craft({ a: { dtype: 'F32', shape: [1], data_offsets: [-4, 0] } }, 4), /data_offsets/],
  ['offsets in reverse', craft({ a: { dtype: 'F32', shape: [1], data_offsets: [4, 0] } }, 4), /span -4/],
  ['offsets beyond the end', craft({ a: f32(0, 8) }, 4), /ends at 8 of 4/],
  [
    'a huge tensor in a small file',
    craft({ a: { dtype: 'F32', shape: [2 ** 40], data_offsets: [0, 2 ** 42] } }, 4),
    /ends at/,
  ],
  ['tensors that overlap', craft({ a: f32(0, 8), b: f32(4, 12) }, 12), /"b" at 4 that overlaps/],
  ['two tensors in one place', craft({ a: f32(0, 4), b: f32(0, 4) }, 4), /overlaps/],
  ['a gap between tensors', craft({ a: f32(0, 4), b: f32(8, 12) }, 12), /"b" at 8 that leaves a gap/],
  ['a gap at the start', craft({ a: f32(4, 8) }, 8), /gap/],
  ['bytes after the last tensor', craft({ a: f32(0, 4) }, 5), /1 bytes after/],
  ['metadata that is a list', craft({ __metadata__: [] }), /__metadata__/],
  ['metadata with a number', craft({ __metadata__: { a: 1 } }), /__metadata__/],
];

for (const [what, file, message] of hostile) {
  test(`refused: ${what}`, (t) => {
    const error = t.throws(() => decodeSafetensors(file, 'bad.safetensors'), { instanceOf: StillhouseError, message });
    t.is(error?.code, 'INVALID_ARGUMENT');
    t.true(error?.message.includes('bad.safetensors'));
  });
}

test('a file with random damage is read or refused, never anything else', (t) =>
  forCases(t, 300, (random) => {
    const bytes = encodeSafetensors(randomTensors(random), { a: 'b' });
    for (let flips = between(random, 1, 4); flips > 0; flips--) {
      bytes[random.nextInt(Math.min(bytes.length, 120))] = random.nextInt(256);
    }
    const file = random.nextInt(3) === 0 ? bytes.subarray(0, random.nextInt(bytes.length)) : bytes;
    try {
      decodeSafetensors(file, 'w');
      t.pass();
    } catch (error) {
      t.true(error instanceof StillhouseError, String(error));
    }
  }));
