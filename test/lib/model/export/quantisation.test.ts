import test from 'ava';
import { createRandom } from '../../../../lib/base/random.ts';
import { activationScale, quantiseBias, quantiseWeight } from '../../../../lib/model/export/quantisation.ts';

const SEED = 20_261_121;

test(`dequantised weights are within half a step, per channel (seed ${SEED})`, (t) => {
  const random = createRandom(SEED);
  const channels = 16;
  const perChannel = 27;
  // Channels of very different sizes; one has no weights at all.
  const weight = Float32Array.from(
    { length: channels * perChannel },
    (_, at) => 10 ** (-(at / perChannel) | 0) * (at < perChannel ? 0 : 1) * random.nextNormal(),
  );
  const bias = Float32Array.from({ length: channels }, () => random.nextNormal());
  const inputScale = 0.02;
  const { values, scales } = quantiseWeight(weight, bias, inputScale);
  for (const [at, value] of weight.entries()) {
    const scale = scales[Math.floor(at / perChannel)] as number;
    t.true(Math.abs((values[at] as number) * scale - value) <= scale * 0.5001);
  }
  const steps = scales.map((scale) => scale * inputScale);
  for (const [channel, value] of quantiseBias(bias, steps).entries()) {
    const step = steps[channel] as number;
    t.true(Math.abs(value) < 2 ** 31);
    t.true(Math.abs(value * step - (bias[channel] as number)) <= Math.max(step, 1e-6));
  }
});

test('a full channel uses all eight bits', (t) => {
  const { values, scales } = quantiseWeight(Float32Array.of(-0.4, 0.25, 1, -1), Float32Array.of(0), 1);
  t.deepEqual([...values], [-51, 32, 127, -127]);
  t.is(scales[0], Math.fround(1 / 127));
});

test('zero is met exactly, and the whole range is covered', (t) => {
  for (const { range, expected } of [
    { range: { min: 0, max: 6 }, expected: { scale: Math.fround(6 / 255), zeroPoint: 0 } },
    { range: { min: -1, max: 3 }, expected: { scale: Math.fround(4 / 255), zeroPoint: 64 } },
    { range: { min: 1, max: 3 }, expected: { scale: Math.fround(3 / 255), zeroPoint: 0 } },
    { range: { min: -3, max: -1 }, expected: { scale: Math.fround(3 / 255), zeroPoint: 255 } },
    { range: { min: 0, max: 0 }, expected: { scale: 1, zeroPoint: 0 } },
  ]) {
    t.deepEqual(activationScale(range), expected, JSON.stringify(range));
  }
});
