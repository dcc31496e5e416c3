import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { decodeTorchLegacy, decodeTorchZip, isTorchZip, type TorchWeights } from '../../../lib/model/torch-file.ts';
import { dictPickle, op, tensorPickle, torchLegacy, torchZip, tupleOf, zipOf } from '../../helpers/pickle-writer.ts';
import { forCases } from '../../helpers/property.ts';

const folder = fileURLToPath(new URL('../../fixtures/torch/', import.meta.url));
const files = readdirSync(folder).filter((file) => file.endsWith('.pth'));

type Expected = Record<string, Record<string, { shape: number[]; values: number[] }>>;
const expected: Expected = JSON.parse(readFileSync(`${folder}expected.json`, 'utf8'));

async function decode(bytes: Uint8Array, where = 'w.pth'): Promise<TorchWeights> {
  return isTorchZip(bytes) ? await decodeTorchZip(bytes, where) : decodeTorchLegacy(bytes, where);
}

test('every kind of file that the script writes is here, in both formats', (t) => {
  const names = Object.keys(expected).filter((name) => name !== 'protocol5');
  t.deepEqual(
    files,
    [...names.flatMap((name) => [`${name}.legacy.pth`, `${name}.zip.pth`]), 'protocol5.zip.pth'].sort(),
  );
});

for (const file of files) {
  test(`${file} is read as PyTorch reads it`, async (t) => {
    const { tensors } = await decode(readFileSync(folder + file), file);
    const wanted = Object.entries(expected[file.split('.')[0] as string] as Expected[string]);
    t.deepEqual([...tensors.keys()].sort(), wanted.map(([name]) => name).sort());
    for (const [name, { shape, values }] of wanted) {
      t.deepEqual(tensors.get(name), { shape, values: Float32Array.from(values) }, name);
    }
  });
}

test('what a checkpoint holds beside its state dict is named, and the types are those of the file', async (t) => {
  for (const format of ['zip', 'legacy']) {
    const checkpoint = await decode(readFileSync(`${folder}checkpoint.${format}.pth`));
    t.is(checkpoint.stateDict, 'state_dict');
    t.deepEqual([...checkpoint.others].sort(), ['arch', 'best', 'epoch', 'optimizer']);
    const { types } = await decode(readFileSync(`${folder}types.${format}.pth`));
    t.deepEqual([...types.values()], ['F16', 'BF16', 'F64', 'I64', 'I32', 'I16', 'I8', 'U8', 'BOOL']);
  }
});

test('a file that is cut off anywhere is refused', async (t) => {
  for (const file of files) {
    const bytes = readFileSync(folder + file);
    for (let length = 16; length < bytes.length; length += 37) {
      const error = await t.throwsAsync(() => decode(bytes.subarray(0, length)), { instanceOf: StillhouseError });
      t.true(['INVALID_ARGUMENT', 'UNIMPLEMENTED'].includes(error?.code ?? ''), `${file} at ${length}: ${error?.code}`);
    }
  }
});

test('a file with random damage is read or refused, never anything else', (t) =>
  forCases(t, 400, async (random, seed) => {
    const bytes = readFileSync(folder + files[random.nextInt(files.length)]);
    for (let flips = 1 + random.nextInt(4); flips > 0; flips--)
      bytes[random.nextInt(bytes.length)] = random.nextInt(256);
    try {
      await decode(bytes);
      t.pass();
    } catch (error) {
      t.true(error instanceof StillhouseError && error.code !== 'INTERNAL', `seed ${seed}: ${String(error)}`);
    }
  }));

/** Ways in which a pickle could run something. */
const command = tupleOf(op.string('touch /tmp/owned'));
const attacks: [string, Buffer, RegExp][] = [
  ['REDUCE', Buffer.concat([op.global('os', 'system'), command, op.reduce]), /"os\.system"/],
  ['REDUCE of eval', Buffer.concat([op.global('builtins', 'eval'), command, op.reduce]), /"builtins\.eval"/],
  ['REDUCE of Python 2', Buffer.concat([op.global('__builtin__', 'exec'), command, op.reduce]), /"__builtin__\.exec"/],
  ['STACK_GLOBAL', Buffer.concat([op.stackGlobal('posix', 'system'), command, op.reduce]), /"posix\.system"/],
  ['INST', Buffer.concat([op.mark, op.string('ls'), op.inst('os', 'system')]), /"os\.system"/],
  ['OBJ', Buffer.concat([op.mark, op.global('subprocess', 'Popen'), op.string('ls'), op.obj]), /"subprocess\.Popen"/],
  ['NEWOBJ', Buffer.concat([op.global('subprocess', 'Popen'), command, op.newObj]), /"subprocess\.Popen"/],
  [
    'NEWOBJ_EX',
    Buffer.concat([op.global('subprocess', 'Popen'), command, op.emptyDict, op.newObjEx]),
    /"subprocess\.Popen"/,
  ],
  ['BUILD', Buffer.concat([op.global('torch.nn', 'Module'), op.emptyDict, op.build]), /"torch\.nn\.Module"/],
  ['a dotted name', Buffer.concat([op.stackGlobal('torch', '_utils.os.system'), command, op.reduce]), /os\.system"/],
  [
    'a storage from bytes',
    Buffer.concat([op.global('torch.storage', '_load_from_bytes'), command, op.reduce]),
    /_load_/,
  ],
  ['the prototype', Buffer.concat([op.global('constructor', 'constructor'), command, op.reduce]), /"constructor\.con/],
  ['an allowed class as an instance', Buffer.concat([op.global('torch', 'Size'), command, op.newObj]), /torch\.Size/],
  ['INST of an allowed class', Buffer.concat([op.mark, op.inst('collections', 'OrderedDict')]), /OrderedDict/],
  ['OBJ of an allowed class', Buffer.concat([op.mark, op.global('torch', 'Size'), op.obj]), /torch\.Size/],
  ['a call of a storage type', Buffer.concat([op.global('torch', 'FloatStorage'), command, op.reduce]), /FloatStorage/],
  ['a call of a text', Buffer.concat([op.string('os.system'), command, op.reduce]), /cannot be called/],
  ['the state of a tensor', Buffer.concat([tensorPickle(), op.emptyDict, op.build]), /no OrderedDict/],
];

for (const [what, attack, message] of attacks) {
  test(`refused, with the name, and never run: ${what}`, async (t) => {
    const pickle = dictPickle({ 'fc.weight': tensorPickle(), attack });
    for (const bytes of [torchZip(pickle), torchLegacy(pickle)]) {
      const error = await t.throwsAsync(() => decode(bytes), { instanceOf: StillhouseError, message });
      t.is(error?.code, 'INVALID_ARGUMENT');
      t.true(error?.message.startsWith('w.pth'));
    }
  });
}

const badTensors: [string, Buffer, RegExp][] = [
  ['a shape beyond the storage', tensorPickle({ shape: [5n] }), /"bad" reaches value 4 of a storage that has 4/],
  ['an offset beyond the storage', tensorPickle({ offset: 4n, shape: [1n] }), /reaches value 4/],
  ['a stride beyond the storage', tensorPickle({ shape: [2n, 2n], strides: [3n, 1n] }), /reaches value 4/],
  ['a negative size', tensorPickle({ shape: [-4n] }), /"bad" has a shape/],
  ['a negative stride', tensorPickle({ strides: [-1n], offset: 3n }), /"bad" has strides/],
  ['a negative offset', tensorPickle({ offset: -1n }), /"bad" has an offset/],
  ['one stride too few', tensorPickle({ shape: [2n, 2n], strides: [1n] }), /"bad" has strides that are not 2/],
  [
    'a shape that overflows',
    tensorPickle({ shape: [2n ** 40n, 2n ** 40n], strides: [0n, 0n] }),
    /too large|values, in/,
  ],
  [
    'a stride of 0 that repeats without end',
    tensorPickle({ shape: [2n ** 30n], strides: [0n] }),
    /brings all tensors to 107374182\d values, in/,
  ],
  [
    'a shape of 33 dimensions',
    tensorPickle({ shape: new Array(33).fill(1n), strides: new Array(33).fill(1n) }),
    /shape/,
  ],
];

for (const [what, bad, message] of badTensors) {
  test(`refused, with the tensor’s name: ${what}`, async (t) => {
    for (const bytes of [torchZip(dictPickle({ good: tensorPickle(), bad })), torchLegacy(dictPickle({ bad }))]) {
      const error = await t.throwsAsync(() => decode(bytes), { instanceOf: StillhouseError, message });
      t.is(error?.code, 'INVALID_ARGUMENT');
      t.is(error?.field, 'bad');
    }
  });
}

const good = dictPickle({ a: tensorPickle() });

/** One list of pairs, turned into a dict over and over. */
function dictsOfOneList(pairs: number, dicts: number): Buffer {
  const pair = (index: number) => Buffer.concat([op.int(index), op.none, op.tuple2]);
  const list = [op.mark, ...Array.from({ length: pairs }, (_, index) => pair(index)), op.list, op.put(0)];
  const dict = Buffer.concat([op.get(1), op.get(0), op.tuple1, op.reduce]);
  const callee = [op.global('collections', 'OrderedDict'), op.put(1)];
  return Buffer.concat([op.proto(), ...list, ...callee, ...new Array<Buffer>(dicts).fill(dict), op.stop]);
}

const badFiles: [string, Buffer, RegExp][] = [
  [
    'a storage that claims to be longer',
    torchZip(dictPickle({ a: tensorPickle({ length: 2n ** 40n }) })),
    /has 16 bytes/,
  ],
  ['a storage that is not there', torchZip(dictPickle({ a: tensorPickle({ key: '1' }) })), /"1" is missing/],
  ['a storage that leads elsewhere', torchZip(dictPickle({ a: tensorPickle({ key: '../data.pkl' }) })), /is missing/],
  [
    'a storage in two ways',
    torchZip(dictPickle({ a: tensorPickle(), b: tensorPickle({ storage: op.global('torch', 'IntStorage') }) })),
    /"0" in two ways/,
  ],
  [
    'an untyped storage',
    torchZip(dictPickle({ a: tensorPickle({ storage: op.string('Float') }) })),
    /by something else/,
  ],
  [
    'a big-endian zip',
    zipOf([
      { name: 'm/data.pkl', content: good },
      { name: 'm/byteorder', content: Buffer.from('big') },
    ]),
    /big-endian/,
  ],
  ['a big-endian legacy file', torchLegacy(good, { littleEndian: false }), /big-endian/],
  ['a legacy storage of another length', torchLegacy(good, { storageLength: 5n }), /has 5 values/],
  ['a legacy storage of negative length', torchLegacy(good, { storageLength: -1n }), /values, its description/],
  ['bytes behind a legacy file', Buffer.concat([torchLegacy(good), Buffer.alloc(7)]), /7 bytes behind/],
  ['no state dict', torchZip(dictPickle({ epoch: op.int(3) })), /no state dict in it, but a dict of epoch/],
  ['a list', torchZip(Buffer.concat([op.proto(), op.mark, op.list, op.stop])), /no dict/],
  ['a TorchScript program', torchZip(good, [{ name: 'model/constants.pkl', content: good }]), /TorchScript/],
  ['a zip of something else', zipOf([{ name: 'readme.txt', content: good }]), /torch\.save has not written/],
  ['two pickles', torchZip(good, [{ name: 'other/data.pkl', content: good }]), /torch\.save has not written/],
  ['a name twice', torchZip(good, [{ name: 'model/data/0', content: Buffer.alloc(16) }]), /"model\/data\/0" twice/],
  ['a path out of the folder', torchZip(good, [{ name: '../x', content: good }]), /zip archive/],
  ['an absolute path', torchZip(good, [{ name: '/etc/x', content: good }]), /zip archive/],
  ['a wrong checksum', torchZip(good, [{ name: 'model/x', content: good, crc: 1 }]), /damaged: "model\/x"/],
  [
    'a zip bomb',
    torchZip(good, [{ name: 'model/data/1', content: Buffer.alloc(50_000_000), deflate: true }]),
    /more than 2 times its size/,
  ],
  [
    'a zip bomb that claims to be small',
    torchZip(good, [{ name: 'model/data/1', content: Buffer.alloc(50_000_000), deflate: true, claimedSize: 64 }]),
    /zip archive/,
  ],
  [
    'a stored file beyond the end',
    torchZip(good, [{ name: 'model/x', content: good, claimedSize: 9_000 }]),
    /zip archive|2 times/,
  ],
  ['protocol 0', torchZip(Buffer.from('(dp0\n.')), /opcode 0x70/],
  ['an endless pickle', torchZip(Buffer.alloc(1_100_000, '}')), /more than 1000000 instructions/],
  ['a list that is copied over and over', torchZip(dictsOfOneList(100_000, 170_000)), /more than 1000000 instructions/],
  ['marks without values', torchZip(Buffer.from('\x80\x02((((t.', 'latin1')), /no state dict/],
  ['nothing on the stack', torchZip(Buffer.from('\x80\x02.', 'latin1')), /not there/],
  ['a memo that is empty', torchZip(Buffer.from('\x80\x02h\x07.', 'latin1')), /entry 7 of its memo/],
  ['a huge integer', torchZip(Buffer.from('\x80\x02\x8b\xff\xff\xff\x7f', 'latin1')), /integer of 2147483647 bytes/],
  ['a huge text', torchZip(Buffer.from('\x80\x02X\xff\xff\xff\x7fabc', 'latin1')), /cut off/],
];

for (const [what, bytes, message] of badFiles) {
  test(`refused: ${what}`, async (t) => {
    const error = await t.throwsAsync(() => decode(bytes), { instanceOf: StillhouseError, message });
    t.true(['INVALID_ARGUMENT', 'UNIMPLEMENTED'].includes(error?.code ?? ''), error?.code);
  });
}

test('lists in lists, as deep as a file can nest them, are no trouble', async (t) => {
  const depth = 200_000;
  const nested = Buffer.concat([Buffer.alloc(depth, ']'), Buffer.alloc(depth - 1, 'a')]);
  const { tensors, others } = await decode(torchZip(dictPickle({ a: tensorPickle(), nested })));
  t.deepEqual(tensors.get('a')?.values, Float32Array.of(1, 2, 3, 4));
  t.deepEqual(others, ['nested']);
});

test('a compressed archive is read when it stays in proportion', async (t) => {
  const content = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
  const file = zipOf([
    { name: 'm/data.pkl', content: good, deflate: true },
    { name: 'm/data/0', content, deflate: true },
  ]);
  t.deepEqual((await decode(file)).tensors.get('a')?.values, Float32Array.of(1, 2, 3, 4));
});
