import test from 'ava';
import { ShareMeter } from '../../../lib/wire/share-meter.ts';

const OWNER = { workerId: 'student-1', firstLane: 0, lanes: 1 };

test('time for looking at the calibrate split adds up, and answers from the cache count for every teacher, ahead of steps too', (t) => {
  const counters = { cachedSamples: 64, batchesResent: 0, duplicateAnswers: 0, bytesReceived: 7 };
  const meter = new ShareMeter(OWNER, { steps: 4, stepsPerEpoch: 2 }, { logits: () => counters });
  const times = { dataWaitMs: 0, teacherWaitMs: 0, averagingWaitMs: 0 };
  const step = { loss: 1, accuracy: 0.5, samples: 16, ownSamples: 16, teacherSamples: 16, ...times };
  t.like(meter.commit({ ...step, step: 0 }).share, { cachedSamples: 64, teacherSamples: 16, evaluationMs: 0 });
  meter.looked({ bestEpoch: 1, bestAccuracy: 0.5, tookMs: 30 }, false);
  const looked = meter.looked({ bestEpoch: 1, bestAccuracy: 0.5, tookMs: 12.5 }, true);
  t.like(looked, { bestEpoch: 1, stoppedEarly: true });
  t.is(looked.share?.evaluationMs, 42.5);
});
