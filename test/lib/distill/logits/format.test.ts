/** How rows of logits are written: what comes back, how long it is, and what is refused. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { StillhouseError } from '../../../../lib/base/errors.ts';
import type { Random } from '../../../../lib/base/random.ts';
import {
  decodeRows,
  encodeRows,
  hasTails,
  isSameFormat,
  type LogitsEncoding,
  type LogitsFormat,
  rowBytes,
  type Tails,
} from '../../../../lib/distill/logits/format.ts';
import { TAIL } from '../../../../lib/distill/logits/top-k.ts';
import { between, forCases } from '../../../helpers/property.ts';

const ENCODINGS: readonly LogitsEncoding[] = ['fp32', 'fp16', 'bf16', 'int8', 'int4', 'probabilities', { topK: 3 }];

const nameOf = (encoding: LogitsEncoding) => (typeof encoding === 'string' ? encoding : `topK ${encoding.topK}`);

function formatOf(encoding: LogitsEncoding, columns: number, temperatures: readonly number[] = [4]): LogitsFormat {
  const needs = encoding === 'probabilities' || typeof encoding !== 'string';
  return { encoding, columns, temperatures: needs ? temperatures : [] };
}

function normals(random: Random, count: number, scale: number): Float32Array {
  return Float32Array.from({ length: count }, () => scale * random.nextNormal());
}

/** As they come off the wire: a Buffer in the middle of another, wherever that may begin. */
function received(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(7), bytes, Uint8Array.of(7)]).subarray(1, 1 + bytes.length);
}

function softmax(row: ArrayLike<number>, T: number): number[] {
  const largest = Math.max(...Array.from(row));
  const exponentials = Array.from(row, (logit) => Math.exp((logit - largest) / T));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}

const rowOf = (values: Float32Array, row: number, width: number) => values.subarray(row * width, (row + 1) * width);

test('raw logits come back within the bounds of their encoding', async (t) => {
  await forCases(t, 60, (random) => {
    const columns = between(random, 1, 40);
    const rows = between(random, 0, 9);
    const logits = normals(random, rows * columns, 10 ** between(random, -3, 3));
    for (const encoding of ['fp32', 'fp16', 'bf16', 'int8', 'int4'] as const) {
      const format = formatOf(encoding, columns);
      const bytes = encodeRows(logits, format);
      t.is(bytes.length, rows * rowBytes(format));
      const decoded = decodeRows(received(bytes), rows, format, 'a test');
      t.is(decoded.tails, null);
      t.is(decoded.logits.length, logits.length);
      for (let row = 0; row < rows; row++) {
        const own = rowOf(logits, row, columns);
        const range = Math.max(...own) - Math.min(...own);
        const largest = Math.max(...own.map(Math.abs));
        for (const [column, logit] of own.entries()) {
          const error = Math.abs((rowOf(decoded.logits, row, columns)[column] as number) - logit);
          const bound = {
            fp32: 0,
            fp16: Math.abs(logit) * 2 ** -11 + 2 ** -25,
            bf16: Math.abs(logit) * 2 ** -8,
            int8: range / 255 / 2 + 1e-6 * largest,
            int4: range / 15 / 2 + 1e-6 * largest,
          }[encoding];
          if (error > bound) t.fail(`${encoding}: ${logit} is off by ${error}`);
        }
      }
    }
  });
});

test('what has been decoded is the same when it is sent once more', async (t) => {
  await forCases(t, 20, (random) => {
    const columns = between(random, 5, 30);
    const logits = normals(random, 4 * columns, 3);
    for (const encoding of ['fp32', 'fp16', 'bf16'] as const) {
      const format = formatOf(encoding, columns);
      const bytes = encodeRows(logits, format);
      t.deepEqual(encodeRows(decodeRows(bytes, 4, format, 'a test').logits, format), bytes);
    }
  });
});

test('rows are as long as the format says', (t) => {
  const bytes = (encoding: LogitsEncoding, columns: number, temperatures = [1, 4]) =>
    rowBytes(formatOf(encoding, columns, temperatures));
  t.deepEqual(
    (['fp32', 'fp16', 'bf16', 'int8', 'int4'] as const).map((encoding) => bytes(encoding, 1001)),
    [4004, 2002, 2002, 1009, 509],
  );
  t.is(bytes('probabilities', 10, [4]), 20);
  t.is(bytes({ topK: 16 }, 1000), 4 + 16 * 4 + 8);
  t.is(bytes({ topK: 16 }, 65_535), 4 + 16 * 4 + 8);
  t.is(bytes({ topK: 16 }, 65_536), 4 + 16 * 6 + 8);
});

test('a half-byte row keeps its order, and an odd last one', (t) => {
  const format = formatOf('int4', 3);
  const bytes = encodeRows(Float32Array.of(0, 15, 7, -3, -3, -3), format);
  t.deepEqual([...bytes.subarray(8, 10)], [0xf0, 7]);
  t.deepEqual([...decodeRows(bytes, 2, format, 'a test').logits], [0, 15, 7, -3, -3, -3]);
});

test('probabilities come back as T times their logarithms: the softmax at T is theirs', async (t) => {
  await forCases(t, 30, (random) => {
    const columns = between(random, 2, 300);
    const T = [0.5, 1, 4, 20][random.nextInt(4)] as number;
    const logits = normals(random, 3 * columns, 6);
    const format = formatOf('probabilities', columns, [T]);
    const decoded = decodeRows(received(encodeRows(logits, format)), 3, format, 'a test');
    for (let row = 0; row < 3; row++) {
      const wanted = softmax(rowOf(logits, row, columns), T);
      const found = softmax(rowOf(decoded.logits, row, columns), T);
      const error = Math.max(...found.map((p, index) => Math.abs(p - (wanted[index] as number))));
      t.true(error < 2e-3, `${error}`);
    }
  });
});

test('a probability that rounds to 0 has a logit for all that', (t) => {
  const format = formatOf('probabilities', 3, [2]);
  const { logits } = decodeRows(encodeRows(Float32Array.of(0, -1000, 0), format), 1, format, 'a test');
  t.deepEqual([...logits], [2 * Math.log(0.5), 2 * Math.log(2 ** -25), 2 * Math.log(0.5)].map(Math.fround));
});

interface GoldenTails {
  readonly columns: number;
  readonly k: number;
  readonly temperatures: readonly number[];
  /** Bits. */
  readonly logits: readonly number[];
  readonly kept: readonly (readonly number[])[];
  readonly tails: readonly (readonly number[])[];
  /** Of the kept classes, by temperature and row. */
  readonly probabilities: readonly (readonly (readonly number[])[])[];
}

const golden = JSON.parse(readFileSync(new URL('../../../goldens/logits.json', import.meta.url), 'utf8')) as {
  readonly tails: readonly GoldenTails[];
};

for (const { columns, k, temperatures, logits, kept, tails, probabilities } of golden.tails) {
  test(`the ${k} largest of ${columns} and the tails are PyTorch's`, (t) => {
    const values = new Float32Array(Uint32Array.from(logits).buffer);
    const format: LogitsFormat = { encoding: { topK: k }, columns, temperatures };
    const decoded = decodeRows(received(encodeRows(values, format)), kept.length, format, 'a test');
    const found = decoded.tails as Tails;
    t.deepEqual(found.temperatures, temperatures);
    for (const [row, columnsKept] of kept.entries()) {
      const own = [...rowOf(decoded.logits, row, columns)];
      t.deepEqual(
        own.flatMap((logit, column) => (logit === TAIL ? [] : [column])),
        columnsKept,
      );
      const largest = Math.max(...own);
      t.is(largest, Math.max(...rowOf(values, row, columns)), 'the largest logit is exact');
      for (const [index, T] of temperatures.entries()) {
        const tail = found.values[row * temperatures.length + index] as number;
        const wanted = (tails[row] as readonly number[])[index] as number;
        t.true(Math.abs(tail - wanted) <= 1e-6 * Math.max(1, Math.abs(wanted)), `T=${T}: ${tail} is ${wanted}`);
        const bins = softmax([...columnsKept.map((column) => own[column] as number), tail], T);
        for (const [place, p] of ((probabilities[index] as (readonly number[])[])[row] as number[]).entries()) {
          // Half precision moves a logit by 2^-11 of its distance from the largest.
          const distance = largest - (own[columnsKept[place] as number] as number);
          const bound = 1e-5 + (2 * p * 2 ** -11 * Math.max(1, distance)) / T + (p * 2 ** -10) / T;
          t.true(Math.abs((bins[place] as number) - p) <= bound, `T=${T}: ${bins[place]} is ${p}`);
        }
      }
    }
  });
}

test('of equal logits the first are kept, and the rest are in the tail', (t) => {
  const format = formatOf({ topK: 3 }, 6, [1]);
  const decoded = decodeRows(encodeRows(Float32Array.of(2, 5, 2, 5, 2, 2), format), 1, format, 'a test');
  t.deepEqual([...decoded.logits], [2, 5, TAIL, 5, TAIL, TAIL]);
  t.deepEqual([...(decoded.tails as Tails).values], [Math.fround(2 + Math.log(3))]);
});

test('the k largest are those of a sort', async (t) => {
  await forCases(t, 40, (random) => {
    const columns = between(random, 2, 90);
    const k = between(random, 1, columns - 1);
    // Few values, so that many are equal.
    const logits = Float32Array.from({ length: columns }, () => random.nextInt(12));
    const format = formatOf({ topK: k }, columns, [1]);
    const decoded = decodeRows(encodeRows(logits, format), 1, format, 'a test').logits;
    const order = [...logits.keys()].sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b);
    const wanted = new Float32Array(columns).fill(TAIL);
    for (const column of order.slice(0, k)) wanted[column] = logits[column] as number;
    t.deepEqual(decoded, wanted);
  });
});

test('above 65,535 columns classes take 32 bits', (t) => {
  const columns = 70_000;
  const logits = new Float32Array(columns);
  logits[69_999] = 8;
  logits[3] = 9;
  const format = formatOf({ topK: 2 }, columns, [1]);
  const decoded = decodeRows(encodeRows(logits, format), 1, format, 'a test').logits;
  t.deepEqual([decoded[3], decoded[69_999], decoded[0]], [9, 8, TAIL]);
});

test('a kept logit far below the largest is kept as far as half precision goes', (t) => {
  const format = formatOf({ topK: 2 }, 3, [1]);
  const { logits } = decodeRows(encodeRows(Float32Array.of(0, -1e6, -2e6), format), 1, format, 'a test');
  t.deepEqual([...logits], [0, -65_504, TAIL]);
});

for (const encoding of ENCODINGS) {
  test(`${nameOf(encoding)}: logits that are not finite are never sent`, (t) => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const logits = Float32Array.of(1, 2, 3, 4, 1, 2, value, 4);
      const error = t.throws(() => encodeRows(logits, formatOf(encoding, 4)), { instanceOf: StillhouseError });
      t.is(error?.code, 'DATA_LOSS');
      t.regex(error?.message ?? '', /row 1, column 2: the logit is/);
    }
  });

  test(`${nameOf(encoding)}: another length is refused`, (t) => {
    const format = formatOf(encoding, 4);
    const bytes = encodeRows(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), format);
    for (const wrong of [bytes.subarray(1), bytes.subarray(0, 0), Buffer.concat([bytes, bytes])]) {
      const error = t.throws(() => decodeRows(wrong, 2, format, 'batch 7 of t1'), { instanceOf: StillhouseError });
      t.is(error?.code, 'DATA_LOSS');
      t.regex(error?.message ?? '', /^batch 7 of t1: expected \d+ bytes for 2 rows of 4, got \d+$/);
    }
  });

  test(`${nameOf(encoding)}: hostile bytes are refused or become finite logits`, async (t) => {
    let refused = 0;
    await forCases(t, 400, (random) => {
      const columns = between(random, 4, 9);
      const format = formatOf(encoding, columns, [2]);
      const bytes = encodeRows(normals(random, 2 * columns, 3), format);
      for (let change = between(random, 1, 8); change > 0; change--) {
        bytes[random.nextInt(bytes.length)] = random.nextInt(2) === 0 ? 0xff : random.nextInt(256);
      }
      try {
        const { logits, tails } = decodeRows(bytes, 2, format, 'a test');
        t.is(logits.length, 2 * columns);
        t.true(logits.every(Number.isFinite) && (tails === null || tails.values.every(Number.isFinite)));
        if (hasTails(format)) t.is(logits.filter((logit) => logit === TAIL).length, 2 * (columns - 3));
      } catch (thrown) {
        refused += 1;
        const { code, message } = thrown as StillhouseError;
        t.is(code, 'DATA_LOSS');
        t.regex(message, /^a test: row [01](, column \d+)?: /);
      }
    });
    t.true(refused > 0, 'some were refused');
  });
}

test('what cannot be held is refused, not cut off', (t) => {
  const cases: [LogitsEncoding, number[], RegExp][] = [
    ['fp16', [0, 65_520], /65520 of row 0, column 1 does not fit fp16/],
    ['bf16', [3.4e38, 0], /row 0, column 0 does not fit bf16/],
    ['int8', [-1e38, 3.4028234663852886e38], /row 0, column 1 does not fit a scale from -9.99/],
  ];
  for (const [encoding, row, message] of cases) {
    const error = t.throws(() => encodeRows(Float32Array.from(row), formatOf(encoding, 2)), {
      instanceOf: StillhouseError,
    });
    t.is(error?.code, 'FAILED_PRECONDITION');
    t.regex(error?.message ?? '', message);
    t.is(error?.field, 'distill.logits');
  }
  t.deepEqual(
    decodeRows(encodeRows(Float32Array.of(65_519), formatOf('fp16', 1)), 1, formatOf('fp16', 1), '').logits[0],
    65_504,
  );
});

test('probabilities that are none, and rows of them that do not add up, are refused', (t) => {
  const format = formatOf('probabilities', 3, [1]);
  const decode = (...halves: number[]) =>
    decodeRows(new Uint8Array(Uint16Array.from(halves).buffer), 1, format, 'a test');
  t.throws(() => decode(0xb800, 0x3c00, 0x3800), { message: 'a test: row 0, column 0: the probability is -0.5' });
  t.throws(() => decode(0, 0x3c01, 0), { message: /row 0, column 1: the probability is 1\.00/ });
  t.throws(() => decode(0x3800, 0x3400, 0), {
    message: 'a test: row 0: the probabilities of columns 0..2 add up to 0.75',
  });
  t.notThrows(() => decode(0x3800, 0x3800, 0));
});

test('kept classes that are none, or twice the same, are refused', (t) => {
  const format = formatOf({ topK: 2 }, 5, [1]);
  const bytes = encodeRows(Float32Array.of(5, 1, 4, 0, 0), format);
  const decode = (change: (view: DataView) => void) => () => {
    const copy = bytes.slice();
    change(new DataView(copy.buffer));
    return decodeRows(copy, 1, format, 'a test');
  };
  t.throws(
    decode((view) => view.setUint16(8, 2, true)),
    { message: /column 2: the kept logit 1 has a column in 3\.\.4/ },
  );
  t.throws(
    decode((view) => view.setUint16(10, 5, true)),
    { message: /row 0, column 5: the kept logit 1 has/ },
  );
  t.throws(
    decode((view) => view.setUint16(6, 0x3c00, true)),
    { message: /row 0, column 2: the logit is 1 above/ },
  );
  t.throws(
    decode((view) => view.setFloat32(0, Number.NaN, true)),
    { message: /row 0, column 0: the largest logit is NaN/ },
  );
  t.throws(
    decode((view) => view.setFloat32(12, Number.NaN, true)),
    { message: /row 0, column 5: the tail at T=1 is NaN/ },
  );
});

test('formats are the same when all of them is', (t) => {
  const one: LogitsFormat = { encoding: { topK: 3 }, columns: 9, temperatures: [1, 4] };
  t.true(isSameFormat(one, { ...one, encoding: { topK: 3 }, temperatures: [1, 4] }));
  t.true(isSameFormat(formatOf('fp16', 4), formatOf('fp16', 4)));
  for (const other of [
    { encoding: { topK: 4 } },
    { encoding: 'fp16' as const },
    { columns: 8 },
    { temperatures: [1, 5] },
  ]) {
    t.false(isSameFormat(one, { ...one, ...other }));
  }
  t.false(isSameFormat(one, { ...one, temperatures: [1] }));
});

test('a kept logit that is as low as what is left out is refused, going out and coming in', (t) => {
  const format = formatOf({ topK: 1 }, 3, [1]);
  t.throws(() => encodeRows(Float32Array.of(TAIL, TAIL, -3e38), format), {
    code: 'FAILED_PRECONDITION',
    message: /row 0, column 0 does not fit topK/,
  });
  const bytes = encodeRows(Float32Array.of(1, 1, 1), format);
  new DataView(bytes.buffer).setFloat32(0, TAIL, true);
  t.throws(() => decodeRows(bytes, 1, format, 'a test'), {
    code: 'DATA_LOSS',
    message: /row 0, column 0: the logit is -1/,
  });
});

test('rounding of many small probabilities is no error', (t) => {
  const columns = 1_000_000;
  const format = formatOf('probabilities', columns, [1]);
  // Half way between two multiples of 2^-24, nearly: every one is rounded down.
  const logits = new Float32Array(columns).fill(Math.log(1.499 * 2 ** -24));
  logits[0] = Math.log(1 - (columns - 1) * 1.499 * 2 ** -24);
  t.notThrows(() => decodeRows(encodeRows(logits, format), 1, format, 'a test'));
});
