/** Batches encoded in parts: the same bytes and the same errors, and others get their turn in between. */
import test from 'ava';
import { monotonicMs, nextPass } from '../../../lib/base/clock.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { encodeRows, type LogitsFormat } from '../../../lib/distill/logits/format.ts';
import { encodeInParts } from '../../../services/teacher-worker/row-parts.ts';

const COLUMNS = 1000;
const ROWS = 75;
const INT8: LogitsFormat = { encoding: 'int8', columns: COLUMNS, temperatures: [] };
const FP16: LogitsFormat = { ...INT8, encoding: 'fp16' };

function encode(logits: Float32Array, format: LogitsFormat) {
  return (from: number, to: number) => encodeRows(logits.subarray(from * COLUMNS, to * COLUMNS), format);
}

test('parts are together what the whole is (seed 1)', async (t) => {
  const random = createRandom(1);
  const logits = Float32Array.from({ length: ROWS * COLUMNS }, () => 4 * random.nextNormal());
  const topK: LogitsFormat = { encoding: { topK: 16 }, columns: COLUMNS, temperatures: [1, 4] };
  for (const format of [INT8, FP16, topK]) {
    for (const rows of [0, 1, 16, 17, ROWS]) {
      const some = logits.subarray(0, rows * COLUMNS);
      t.deepEqual(await encodeInParts(rows, COLUMNS, encode(some, format)), encodeRows(some, format));
    }
  }
});

test('a logit that does not fit is named by its row of the batch', async (t) => {
  const logits = new Float32Array(ROWS * COLUMNS);
  logits[60 * COLUMNS + 7] = 1e6;
  await t.throwsAsync(encodeInParts(ROWS, COLUMNS, encode(logits, FP16)), { message: /row 60, column 7/ });
});

test('others get their turn between parts that take long', async (t) => {
  const events: string[] = [];
  const other = nextPass().then(() => events.push('another'));
  const encoding = encodeInParts(3, 20_000, (from) => {
    const beganMs = monotonicMs();
    while (monotonicMs() - beganMs < 5);
    events.push(`row ${from}`);
    return new Uint8Array(1);
  });
  t.is((await encoding).length, 3);
  await other;
  t.deepEqual(events, ['row 0', 'another', 'row 1', 'row 2']);
});
