/** When a stored answer counts as what the teacher answers now. */
import test from 'ava';
import { differenceOf } from '../../cli/cache/compare-answers.ts';
import { createRandom } from '../../lib/base/random.ts';
import { decodeRows, encodeRows, type LogitsEncoding, type LogitsFormat } from '../../lib/distill/logits/format.ts';

const NAMES = ['ash', 'beech', 'cedar', 'elm'];

function formatOf(encoding: LogitsEncoding, columns: number): LogitsFormat {
  return { encoding, columns, temperatures: typeof encoding === 'string' ? [] : [1, 4] };
}

function difference(stored: readonly number[], live: readonly number[], encoding: LogitsEncoding = 'fp32') {
  const format = formatOf(encoding, live.length);
  const rows = encodeRows(Float32Array.from(stored), format);
  return differenceOf(decodeRows(rows, 1, format, 'here'), Float32Array.from(live), format, NAMES);
}

test('logits far below the others do not make room for the largest ones to differ', (t) => {
  const live = [10, 0, -87, -1];
  for (const away of [0.05, 0.2, 0.9]) t.regex(difference([10 - away, 0, -87, -1], live) ?? '', /^ash is /);
  t.is(difference([10.005, 0.003, -86.95, -1.003], live), null);
  t.regex(difference([9.6, 9.7, -87, -1], [9.7, 9.6, -87, -1]) ?? '', /^ash is 9\.6, and the teacher answers 9\.7$/);
  t.regex(difference([10.05, 0, 1, -1], [10, 0, 1, -1], 'int8') ?? '', /^ash is /);
});

test('kept logits that topK lifts are as stored', (t) => {
  const live = [70_000, 4_496, 0, 4_497];
  t.is(difference(live, live, { topK: 3 }), null);
  t.is(difference([70_000, 0, -1, 1], [70_000, 0, -1, 1], { topK: 3 }), null);
  t.regex(difference([70_000, 60_000, 0, 0], [70_000, 59_000, 0, 0], { topK: 3 }) ?? '', /^beech is /);
});

test('whatever an encoding makes of a row is as stored, as is what a computer’s noise makes of it (seed 11)', (t) => {
  const random = createRandom(11);
  for (const encoding of ['fp32', 'fp16', 'bf16', 'int8', 'int4', { topK: 5 }] as const) {
    for (let round = 0; round < 200; round++) {
      const scale = 10 ** (random.nextInt(5) - 2);
      const live = Array.from({ length: 20 }, () => scale * (random.nextInt(1000) / 500 - 1));
      if (round % 3 === 0) live[random.nextInt(20)] = -87;
      const noisy = live.map((value) => value * (1 + 1e-6 * (random.nextInt(3) - 1)));
      t.is(difference(noisy, live, encoding), null, `${JSON.stringify(encoding)}: ${live.join()}`);
    }
  }
});
