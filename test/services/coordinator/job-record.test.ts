import test from 'ava';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import { plannedPhases } from '../../../services/coordinator/job-plan.ts';
import { decodeJob, encodeJob, type JobRecord, jobMessage } from '../../../services/coordinator/job-record.ts';
import { shareOf } from './job-harness.ts';

const spec = parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: demo, data: {dataset: small},
  teachers: [{name: big, arch: simple-cnn}], students: [{name: few, arch: simple-cnn}]}`);

const JOB: JobRecord = {
  id: 'demo-1',
  name: 'demo',
  sequence: 1,
  state: 'RUNNING',
  message: '',
  phases: plannedPhases(spec, 'ALL'),
  specJson: '',
  datasetDigest: '',
  skippedSamples: [],
  createdAt: '',
  endedAt: '',
  revision: 1,
  idempotencyKey: '',
  submittedDigest: '',
  scope: 'ALL',
};

test('a job is read back as it was written, diverged losses included', (t) => {
  const phases = JOB.phases.map((phase) => ({
    ...phase,
    epochLoss: Number.NaN,
    rules: [{ rule: 'dustbin' as const, correct: 3, evaluatedImages: 4 }],
    rule: 'dustbin' as const,
    checkpointEpoch: 2,
    droppedDigest: 'sha256:3',
  }));
  const skippedSamples = [{ id: 7, source: 'train/ash/7.jpg', reason: 'it ends early' }];
  const job = { ...JOB, phases, skippedSamples };
  t.deepEqual(decodeJob(encodeJob(job), 'job'), job);
  t.deepEqual(jobMessage(job).skippedSamples, skippedSamples);
  t.like(jobMessage({ ...JOB, phases }).phases?.[1], {
    kind: 'PHASE_KIND_LABEL',
    rule: 'dustbin',
    rules: [{ rule: 'dustbin', correct: 3, evaluatedImages: 4 }],
    droppedDigest: 'sha256:3',
  });
});

test('a record of a release that knew nothing of epochs, rules, checkpoints and several teachers is read', (t) => {
  const added = /^(epoch|rule|checkpoint|predict|dropped|teachers|advice|best|stopped)/;
  const phases = JOB.phases.map((phase) =>
    Object.fromEntries(Object.entries(phase).filter(([field]) => !added.test(field))),
  );
  t.is(Object.keys(phases[0] ?? {}).length, Object.keys(JOB.phases[0] ?? {}).length - 16);
  const bytes = new TextEncoder().encode(
    JSON.stringify({ ...JOB, phases, skippedSamples: undefined, scope: undefined }),
  );
  t.deepEqual(decodeJob(bytes, 'job'), JOB);
});

test('a share of a release that did not time the look at the calibrate split is read', (t) => {
  const withShare = (share: object) => ({ ...JOB, phases: [{ ...JOB.phases[0], workers: [share] }] });
  const { evaluationMs: _, ...share } = shareOf('student-1', 0, 1);
  const bytes = new TextEncoder().encode(JSON.stringify(withShare(share)));
  t.deepEqual(decodeJob(bytes, 'job').phases[0]?.workers, [{ ...share, evaluationMs: 0 }]);
});
