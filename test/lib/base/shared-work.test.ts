import test from 'ava';
import { untilAborted } from '../../../lib/base/clock.ts';
import { SharedWork } from '../../../lib/base/shared-work.ts';

test('who asks for the same shares one run; other things, and later ones, are done by themselves', async (t) => {
  const work = new SharedWork<number>();
  let runs = 0;
  const run = async () => ++runs;
  t.deepEqual(await Promise.all([work.join('a', run), work.join('a', run), work.join('b', run)]), [1, 1, 2]);
  t.is(await work.join('a', run), 3);
  const failed = () => Promise.reject(new Error('no'));
  const ends = await Promise.allSettled([work.join('a', failed), work.join('a', run)]);
  t.deepEqual(
    ends.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  t.is(await work.join('a', run), 4);
});

test('it goes on while one waits, whoever has left; when all have, it is stopped and not joined any more', async (t) => {
  const work = new SharedWork<string>();
  const users = [new AbortController(), new AbortController(), new AbortController()];
  let stopped = false;
  let finish = (_answer: string) => {};
  const run = (signal: AbortSignal) => {
    void untilAborted(signal).then(() => {
      stopped = true;
    });
    return new Promise<string>((resolve) => {
      finish = resolve;
    });
  };
  const [one, two, three] = users.map(({ signal }) => work.join('a', run, signal));
  users[0]?.abort(new Error('left'));
  await t.throwsAsync(one as Promise<string>, { message: 'left' });
  users[2]?.abort(new Error('left too'));
  await t.throwsAsync(three as Promise<string>, { message: 'left too' });
  t.false(stopped);
  finish('done');
  t.is(await two, 'done');
  const again = new AbortController();
  const alone = work.join('a', run, again.signal);
  stopped = false;
  again.abort(new Error('all left'));
  await t.throwsAsync(alone, { message: 'all left' });
  t.true(stopped);
  t.is(await work.join('a', async () => 'anew'), 'anew');
  await t.throwsAsync(work.join('a', run, again.signal), { message: 'all left' });
});
