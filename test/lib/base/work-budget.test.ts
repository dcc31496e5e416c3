/** As much work at a time as memory is allowed for. */
import test from 'ava';
import { nextTurn } from '../../../lib/base/clock.ts';
import { WorkBudget } from '../../../lib/base/work-budget.ts';
import { between, forCases } from '../../helpers/property.ts';

const LIMIT = 100;

test('what is at work stays within the limit, but for one piece alone, and begins in order', async (t) => {
  let most = 0;
  await forCases(t, 30, async (random) => {
    const budget = new WorkBudget(LIMIT);
    const atWork = new Map<number, number>();
    const begun: number[] = [];
    const pieces = Array.from({ length: 20 }, () => ({ size: between(random, 1, 130), turns: between(random, 0, 3) }));
    const answers = await Promise.all(
      pieces.map(({ size, turns }, piece) =>
        budget.run(size, async () => {
          begun.push(piece);
          atWork.set(piece, size);
          const used = [...atWork.values()].reduce((sum, each) => sum + each, 0);
          t.true(used <= LIMIT || atWork.size === 1, `${[...atWork.values()]}`);
          most = Math.max(most, atWork.size);
          for (let turn = 0; turn < turns; turn++) await nextTurn();
          atWork.delete(piece);
          return piece;
        }),
      ),
    );
    const inOrder = pieces.map((_, piece) => piece);
    t.deepEqual(answers, inOrder);
    t.deepEqual(begun, inOrder);
  });
  t.true(most > 1);
});

test('work that fails makes room too', async (t) => {
  const budget = new WorkBudget(LIMIT);
  const failing = budget.run(LIMIT, () => Promise.reject(new Error('it failed')));
  const next = budget.run(LIMIT, () => Promise.resolve('done'));
  await t.throwsAsync(failing, { message: 'it failed' });
  t.is(await next, 'done');
});
