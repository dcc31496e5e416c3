/** Half precision and bfloat16 against NumPy and PyTorch, bit by bit. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { bfloatBits, HALVES, halfBits, isFiniteBfloat, isFiniteHalf } from '../../../lib/base/float16.ts';

const golden = JSON.parse(readFileSync(new URL('../../goldens/logits.json', import.meta.url), 'utf8')) as {
  readonly roundings: Readonly<Record<'floats' | 'halves' | 'bfloats', readonly number[]>>;
};
const { floats, halves, bfloats } = golden.roundings;
const values = new Float32Array(Uint32Array.from(floats).buffer);

test('floats round to the halves that NumPy rounds them to', (t) => {
  t.deepEqual(Array.from(values, halfBits), halves);
  t.true(halves.includes(0x7c00) && halves.includes(0xfc00) && halves.includes(1) && halves.includes(0x7bff));
});

test('floats round to the bfloat16 that PyTorch rounds them to', (t) => {
  t.deepEqual(floats.map(bfloatBits), bfloats);
  t.true(
    floats.some((bits) => (bits & 0xffff) === 0x8000),
    'some lie half-way',
  );
});

test('every half is itself when it is rounded, and says whether it is finite', (t) => {
  for (let bits = 0; bits < 0x10000; bits++) {
    const value = HALVES[bits] as number;
    if (Number.isNaN(value)) t.false(isFiniteHalf(halfBits(value)));
    else if (halfBits(value) !== bits) t.fail(`0x${bits.toString(16)}, ${value}, became ${halfBits(value)}`);
    if (isFiniteHalf(bits) !== Number.isFinite(value)) t.fail(`${value}`);
  }
  t.is(HALVES[0x3c00], 1);
  t.is(HALVES[0x0001], 2 ** -24);
  t.is(HALVES[0xfbff], -65_504);
});

test('a bfloat16 is finite just where its exponent is', (t) => {
  t.true(isFiniteBfloat(0x7f7f) && isFiniteBfloat(0xff7f) && isFiniteBfloat(0));
  t.false(isFiniteBfloat(0x7f80) || isFiniteBfloat(0xff80) || isFiniteBfloat(0x7fc0));
});
