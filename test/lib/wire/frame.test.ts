import test from 'ava';
import { bytesOf } from '../../../lib/base/digest.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { decodeFrame, encodeFrame, FRAME_HEADER_BYTES, payloadFloats } from '../../../lib/wire/frame.ts';

const HEADER = {
  kind: 1,
  leaderEpoch: 0xffff_ffff,
  view: 3,
  step: 70_000,
  part: 65_535,
  firstLane: 2,
  lanes: 6,
  chunk: 4,
  chunks: 9,
  samples: 96,
};

test('a frame comes back as it was, its floats too, at any alignment', (t) => {
  const values = Float32Array.of(1.5, -0, Number.NaN, 3e38);
  const message = encodeFrame(HEADER, bytesOf(values));
  t.is(message.byteLength, FRAME_HEADER_BYTES + 16);
  for (const shift of [0, 1, 2, 3, 4]) {
    const moved = new Uint8Array(message.byteLength + shift).subarray(shift);
    moved.set(message);
    const { payload, ...header } = decodeFrame(moved);
    t.deepEqual(header, HEADER);
    t.deepEqual(payloadFloats(payload), values);
  }
  t.is(decodeFrame(encodeFrame(HEADER, new Uint8Array())).payload.byteLength, 0);
});

test('random frames come back, and any flipped bit is noticed', (t) => {
  const seed = 20_240_607;
  t.log(`seed ${seed}`);
  const random = createRandom(seed);
  for (let round = 0; round < 200; round++) {
    const payload = Uint8Array.from({ length: random.nextInt(200) }, () => random.nextInt(256));
    const header = { ...HEADER, step: random.nextUint32(), chunk: random.nextInt(65_536), view: random.nextUint32() };
    const message = encodeFrame(header, payload);
    t.deepEqual(decodeFrame(message), { ...header, payload });
    const bit = random.nextInt(message.byteLength * 8);
    message[bit >> 3] = (message[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    t.throws(() => decodeFrame(message), { code: 'DATA_LOSS' });
  }
});

test('frames that are cut, of another version, or do not fit are refused', (t) => {
  const message = encodeFrame(HEADER, new Uint8Array(8));
  t.throws(() => decodeFrame(message.subarray(0, 31)), { code: 'DATA_LOSS', message: /shorter/ });
  t.throws(() => decodeFrame(message.subarray(0, 36)), { code: 'DATA_LOSS', message: /checksum/ });
  message[0] = 2;
  t.throws(() => decodeFrame(message), { code: 'DATA_LOSS', message: /version 2, expected 1/ });
  t.throws(() => encodeFrame({ ...HEADER, part: 65_536 }, new Uint8Array()), {
    code: 'INVALID_ARGUMENT',
    message: /part/,
  });
  t.throws(() => encodeFrame({ ...HEADER, step: -1 }, new Uint8Array()), { code: 'INVALID_ARGUMENT', message: /step/ });
  t.throws(() => payloadFloats(new Uint8Array(7)), { code: 'DATA_LOSS' });
});

test('a payload that lies anywhere in a socket buffer is read as it is', (t) => {
  const values = Float32Array.of(1.5, -2, 3e7);
  for (let offset = 0; offset < 4; offset++) {
    const pool = Buffer.alloc(offset + values.byteLength);
    Buffer.from(values.buffer).copy(pool, offset);
    t.deepEqual(payloadFloats(pool.subarray(offset)), values);
  }
});
