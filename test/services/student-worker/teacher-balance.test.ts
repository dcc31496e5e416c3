/** What a student makes of teachers that refuse, fall silent or lose their streams; times are told, none is waited for. */
import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import type { Effect } from '../../../services/student-worker/balance-events.ts';
import { TeacherBalance } from '../../../services/student-worker/teacher-balance.ts';
import { batchKey } from '../../../services/student-worker/teacher-load.ts';

const KEY = batchKey(3, 0);
const OTHER = batchKey(4, 0);
const IDLE = { queuedSamples: 0, samplesPerSecond: 1_000, draining: false };

function opened(...teachers: string[]): TeacherBalance {
  const balance = new TeacherBalance({ place: 0, students: 1 });
  balance.list(teachers, 0);
  for (const teacher of teachers) balance.opened(teacher, 8, IDLE, 0);
  return balance;
}

function types(effects: readonly Effect[]): string[] {
  return effects.map((effect) => effect.type);
}

/** Tries the only teacher again as soon as that is due. @returns when it has been opened again */
function reopen(balance: TeacherBalance, id: string, nowMs: number): number {
  const dueMs = balance.nextTickMs(nowMs);
  balance.tick(dueMs);
  balance.opened(id, 8, IDLE, dueMs);
  return dueMs;
}

test('a teacher whose server is away is asked less and less often, and counts as gone until it answers', (t) => {
  const balance = opened('only');
  balance.add(KEY, 8, 0);
  const away = { code: 'UNAVAILABLE', message: 'away', retryAfterMs: 1_000 } as const;
  let nowMs = 10;
  t.deepEqual(types(balance.refused('only', KEY, away, nowMs)), ['close']);
  t.is(balance.openTeachers, 0);
  const pauses: number[] = [];
  for (let count = 0; count < 8; count++) {
    const before = nowMs;
    nowMs = reopen(balance, 'only', nowMs);
    pauses.push(nowMs - before);
    t.is(balance.openTeachers, count === 0 ? 1 : 0, 'once may be an accident');
    balance.refused('only', KEY, away, nowMs);
  }
  t.deepEqual(pauses, [1_000, 1_000, 1_000, 1_600, 3_200, 5_000, 5_000, 5_000]);
  nowMs = reopen(balance, 'only', nowMs);
  t.is(balance.openTeachers, 0);
  t.deepEqual(types(balance.answered('only', KEY, true, IDLE, nowMs)), ['deliver']);
  t.is(balance.openTeachers, 1);
});

test('a teacher that drains refuses without having failed', (t) => {
  const balance = opened('first', 'second');
  const [sent] = balance.add(KEY, 8, 0);
  const teacher = sent?.type === 'send' ? sent.teacher : '';
  balance.loaded(teacher, { ...IDLE, draining: true }, 1);
  const effects = balance.refused(teacher, KEY, { code: 'UNAVAILABLE', message: '', retryAfterMs: 1_000 }, 2);
  t.deepEqual(types(effects), ['send']);
  t.false(balance.hasFailed(teacher));
});

test('want of room is no absence as long as some answers come, or may come; nothing else for long is one', (t) => {
  const full = { code: 'RESOURCE_EXHAUSTED', message: 'full', retryAfterMs: 1_000 } as const;
  const balance = opened('only');
  let nowMs = 0;
  let answered = 0;
  balance.add(KEY, 8, nowMs);
  const refuse = (untilMs: number) => {
    while (nowMs < untilMs) {
      balance.refused('only', KEY, full, nowMs);
      if (balance.openTeachers === 0) return;
      nowMs += 1_000;
      balance.tick(nowMs);
    }
  };
  for (; answered < 3; answered++) {
    refuse(nowMs + 25_000);
    t.is(balance.openTeachers, 1);
    balance.answered('only', KEY, true, IDLE, nowMs);
    balance.add(KEY, 8, nowMs);
  }
  const fromMs = nowMs;
  refuse(nowMs + 60_000);
  t.is(balance.openTeachers, 0);
  t.true(nowMs - fromMs >= 30_000 && nowMs - fromMs <= 32_000, `${nowMs - fromMs}`);
  nowMs = reopen(balance, 'only', nowMs);
  balance.refused('only', KEY, full, nowMs);
  nowMs = reopen(balance, 'only', nowMs);
  t.is(balance.openTeachers, 0);
});

test('streams that fail cost no batch, unless the same one is always on them', (t) => {
  const cut = new StillhouseError('INVALID_ARGUMENT', 'the stream was reset');
  const balance = opened('only');
  for (const key of [KEY, OTHER]) balance.add(key, 1, 0);
  let nowMs = 0;
  for (let count = 1; count < 10; count++) {
    t.deepEqual(types(balance.ended('only', cut, nowMs)), []);
    nowMs = reopen(balance, 'only', nowMs);
  }
  t.deepEqual(balance.waiting, [KEY, OTHER]);
  const [failed] = balance.ended('only', cut, nowMs);
  t.true(failed?.type === 'fail' && failed.key === KEY && /step 4, lane 0, .* reset/.test(failed.error.message));
  const malformed = { code: 'INVALID_ARGUMENT', message: 'malformed', retryAfterMs: 0 } as const;
  const other = opened('only');
  for (const key of [KEY, OTHER]) other.add(key, 1, 0);
  t.like(other.refused('only', KEY, malformed, 1), [{ type: 'fail', key: KEY }]);
  t.deepEqual(other.waiting, [OTHER]);
});

test('a teacher that is no longer listed is let go when its last batch is answered elsewhere', (t) => {
  const balance = opened('first', 'second');
  const [sent] = balance.add(KEY, 8, 0);
  const holder = sent?.type === 'send' ? sent.teacher : '';
  const other = holder === 'first' ? 'second' : 'first';
  t.deepEqual(types(balance.list([other], 1)), []);
  let nowMs = 1;
  let again: readonly Effect[] = [];
  while (!types(again).includes('send')) {
    nowMs = balance.nextTickMs(nowMs);
    again = balance.tick(nowMs);
  }
  const effects = balance.answered(other, KEY, true, IDLE, nowMs);
  t.deepEqual(effects.map((effect) => [effect.type, 'teacher' in effect ? effect.teacher : '']).slice(1), [
    ['cancel', holder],
    ['close', holder],
  ]);
});
