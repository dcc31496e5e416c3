import test from 'ava';
import { type Scheduled, scheduledValue } from '../../../lib/distill/loss-schedule.ts';
import { forCases } from '../../helpers/property.ts';

const half = Math.SQRT1_2;

const TABLE: readonly (readonly [what: string, scheduled: Scheduled, total: number, values: readonly number[]])[] = [
  ['a number', 0.3, 3, [0.3, 0.3, 0.3]],
  ['constant', { type: 'constant', value: 2 }, 3, [2, 2, 2]],
  ['linear over steps', { type: 'linear', from: 1, to: 0, steps: 5 }, 7, [1, 0.75, 0.5, 0.25, 0, 0, 0]],
  ['linear over all of the training', { type: 'linear', from: 1, to: 4, fraction: 1 }, 4, [1, 2, 3, 4]],
  ['linear over half of it', { type: 'linear', from: 0, to: 2, fraction: 0.5 }, 6, [0, 1, 2, 2, 2, 2]],
  ['linear over one step', { type: 'linear', from: 1, to: 4, steps: 1 }, 3, [4, 4, 4]],
  ['linear over less than a step', { type: 'linear', from: 1, to: 4, fraction: 0.01 }, 3, [4, 4, 4]],
  ['linear cut short by the training', { type: 'linear', from: 0, to: 10, steps: 11 }, 3, [0, 1, 2]],
  ['cosine', { type: 'cosine', from: 8, to: 0, steps: 5 }, 6, [8, 4 + 4 * half, 4, 4 - 4 * half, 0, 0]],
  ['cosine upwards', { type: 'cosine', from: 0, to: 1, fraction: 1 }, 3, [0, 0.5, 1]],
  ['step', { type: 'step', value: 4, factor: 0.5, steps: 2 }, 6, [4, 4, 2, 2, 1, 1]],
  ['step by thirds', { type: 'step', value: 1, factor: 3, fraction: 1 / 3 }, 6, [1, 1, 3, 3, 9, 9]],
  ['warm-up', { type: 'warm-up', value: 2, steps: 4 }, 6, [0.5, 1, 1.5, 2, 2, 2]],
  ['warm-up over half of the training', { type: 'warm-up', value: 1, fraction: 0.5 }, 4, [0.5, 1, 1, 1]],
];

for (const [what, scheduled, total, values] of TABLE) {
  test(`schedule: ${what}`, (t) => {
    for (const [step, value] of values.entries()) {
      const found = scheduledValue(scheduled, step, total);
      t.true(Math.abs(found - value) < 1e-12, `step ${step}: ${found} is ${value}`);
    }
    t.is(values.length, total);
  });
}

test('schedules stay between their ends and move one way', async (t) => {
  await forCases(t, 200, (random) => {
    const [from, to, total] = [random.nextFloat() * 9, random.nextFloat() * 9, 1 + random.nextInt(50)];
    const type = random.nextInt(2) === 0 ? 'linear' : 'cosine';
    const span = random.nextInt(2) === 0 ? { steps: 1 + random.nextInt(60) } : { fraction: random.nextFloat() };
    let last: number | undefined;
    for (let step = 0; step < total; step++) {
      const value = scheduledValue({ type, from, to, ...span } as Scheduled, step, total);
      t.true(value >= Math.min(from, to) && value <= Math.max(from, to));
      if (last !== undefined) t.true((value - last) * (to - from) >= -1e-12);
      last = value;
    }
  });
});
