import test from 'ava';
import { type ErrorCode, StillhouseError } from '../../../../lib/base/errors.ts';
import { type Random, shuffle } from '../../../../lib/base/random.ts';
import { columnCount, selectColumns, studentColumns } from '../../../../lib/distill/logits/columns.ts';
import { between, forCases } from '../../../helpers/property.ts';

interface Case {
  readonly teacher: readonly string[];
  /** The student's, in any order. */
  readonly own: readonly number[];
  readonly rest: readonly number[];
  readonly rows: number;
  readonly logits: Float32Array;
}

function randomCase(random: Random, scale: number): Case {
  const classes = between(random, 2, 12);
  const teacher = Array.from({ length: classes }, (_, index) => `class ${index}`);
  const mixed = Array.from(shuffle(Uint32Array.from(teacher.keys()), random));
  const own = mixed.slice(0, between(random, 1, classes - 1));
  const rest = mixed.slice(own.length);
  const rows = between(random, 1, 5);
  const logits = Float32Array.from({ length: rows * classes }, () => scale * random.nextNormal());
  return { teacher, own, rest, rows, logits };
}

function columnsOf({ teacher, own, logits }: Case, dustbinTemperature: number) {
  const classNames = own.map((output) => teacher[output] as string);
  const columns = studentColumns({ classNames, dustbinTemperature }, teacher);
  return { width: columnCount(columns), selected: selectColumns(logits, teacher.length, columns) };
}

/** exp(z / T) over their sum, written out. */
function softmax(logits: readonly number[], temperature: number): number[] {
  const exponentials = logits.map((logit) => Math.exp(logit / temperature));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}

test("a student's classes keep their logits bit for bit, with a dustbin or without", (t) =>
  forCases(t, 60, (random) => {
    const one = randomCase(random, 5);
    for (const temperature of [0, 0.5 + random.nextFloat()]) {
      const { width, selected } = columnsOf(one, temperature);
      t.is(width, one.own.length + (temperature > 0 ? 1 : 0));
      t.is(selected.length, one.rows * width);
      for (let row = 0; row < one.rows; row++) {
        const expected = one.own.map((output) => one.logits[row * one.teacher.length + output]);
        t.deepEqual([...selected.subarray(row * width, row * width + one.own.length)], expected as number[]);
      }
    }
  }));

test('at its temperature the softmax of own classes and dustbin is that of all classes, the rest added up', (t) =>
  forCases(t, 200, (random) => {
    const one = randomCase(random, 4);
    const temperature = 0.5 + 5 * random.nextFloat();
    const { width, selected } = columnsOf(one, temperature);
    for (let row = 0; row < one.rows; row++) {
      const at = row * one.teacher.length;
      const all = softmax([...one.logits.subarray(at, at + one.teacher.length)], temperature);
      const sum = one.rest.reduce((total, output) => total + (all[output] as number), 0);
      const expected = [...one.own.map((output) => all[output] as number), sum];
      const grouped = softmax([...selected.subarray(row * width, (row + 1) * width)], temperature);
      for (const [column, probability] of grouped.entries()) {
        t.true(Math.abs(probability - (expected[column] as number)) < 1e-5, `row ${row}, column ${column}`);
      }
    }
  }));

test('logits of any size and temperatures near 0 give the dustbin neither overflow nor underflow', (t) =>
  forCases(t, 200, (random) => {
    const one = randomCase(random, 10 ** between(random, -3, 30));
    const temperature = 10 ** between(random, -6, 3);
    const { width, selected } = columnsOf(one, temperature);
    for (let row = 0; row < one.rows; row++) {
      const rest = one.rest.map((output) => one.logits[row * one.teacher.length + output] as number);
      // Two at a time: log(e^a + e^b) = max + log(1 + e^-|a - b|).
      const expected = rest.reduce(
        (a, b) => Math.max(a, b) + temperature * Math.log1p(Math.exp(-Math.abs(a - b) / temperature)),
      );
      const got = selected[row * width + one.own.length] as number;
      // float32 rounds what is sent; cancellation in the sum leaves an error of the size of its terms.
      const tolerance = 1e-7 * Math.abs(expected) + 1e-13 * temperature;
      t.true(Math.abs(got - expected) <= tolerance, `${got}, expected ${expected}, T ${temperature}`);
    }
  }));

test('classes are found as a search through all names finds them, and the rest is what is left', (t) =>
  forCases(t, 100, (random) => {
    const { teacher, own } = randomCase(random, 1);
    // Names may come twice: the first output of a name is meant.
    const names = teacher.map((name) => (random.nextFloat() < 0.2 ? (teacher[0] as string) : name));
    const classNames = own.map((output) => names[output] as string);
    const found = classNames.map((name) => names.indexOf(name));
    const rest = [...names.keys()].filter((output) => !found.includes(output));
    t.deepEqual(studentColumns({ classNames, dustbinTemperature: 0 }, names), { own: found, dustbin: null });
    if (rest.length === 0) return;
    const dustbin = { rest, temperature: 2 };
    t.deepEqual(studentColumns({ classNames, dustbinTemperature: 2 }, names), { own: found, dustbin });
  }));

test('all columns, as they are, are the logits themselves', (t) => {
  const logits = Float32Array.of(1, 2, 3, 4);
  const select = (own: number[]) => selectColumns(logits, 2, { own, dustbin: null });
  t.is(select([0, 1]), logits);
  t.deepEqual([...select([1, 0])], [2, 1, 4, 3]);
  t.deepEqual([...select([0])], [1, 3]);
});

test('what cannot be answered is refused', (t) => {
  const refused = (classNames: string[], dustbinTemperature: number, code: ErrorCode, message: RegExp) => {
    const attempt = () => studentColumns({ classNames, dustbinTemperature }, ['ash', 'beech', 'cedar']);
    const error = t.throws(attempt, { instanceOf: StillhouseError });
    t.is(error?.code, code);
    t.regex(error?.message ?? '', message);
    return error?.field;
  };
  t.is(refused(['elm', 'ash'], 0, 'FAILED_PRECONDITION', /lacks the classes elm/), 'class_names');
  t.is(refused(['cedar', 'ash', 'beech'], 2, 'FAILED_PRECONDITION', /nothing is left/), 'class_names');
  t.is(refused(['ash'], -0.1, 'INVALID_ARGUMENT', /dustbin_temperature is -0.1/), 'dustbin_temperature');
  t.is(refused(['ash'], Number.NaN, 'INVALID_ARGUMENT', /dustbin_temperature is NaN/), 'dustbin_temperature');
  t.deepEqual(
    studentColumns({ classNames: ['cedar', 'ash', 'beech'], dustbinTemperature: 0 }, ['ash', 'beech', 'cedar']),
    {
      own: [2, 0, 1],
      dustbin: null,
    },
  );
});
