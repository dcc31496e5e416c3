import test from 'ava';
import { StudentTotals } from '../../../services/student-worker/student-metrics.ts';
import { workerShare } from '../../helpers/job-snapshots.ts';

test('shares, which count from the start of their task, add up to what the worker has done', (t) => {
  const totals = new StudentTotals();
  t.is(totals.of('samplesCommitted'), 0);
  totals.observe('a', workerShare('w', 10, { teacherWaitMs: 5 }));
  totals.observe('a', workerShare('w', 30, { teacherWaitMs: 9 }));
  t.is(totals.of('samplesCommitted'), 30);
  totals.observe('b', workerShare('w', 4, { teacherWaitMs: 1 }));
  totals.observe('b', workerShare('w', 8, { teacherWaitMs: 2 }));
  totals.observe('c', workerShare('w', 1));
  t.is(totals.of('samplesCommitted'), 39);
  t.is(totals.of('teacherWaitMs'), 11);
});
