import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import type { StartTask__Output } from '../../../lib/wire/generated/stillhouse/v1/StartTask.ts';
import type { WorkerMessage__Output } from '../../../lib/wire/generated/stillhouse/v1/WorkerMessage.ts';
import { jobSpecToJson, parseJobFile } from '../../../lib/wire/job-file.ts';
import { MemoryKeyValue } from '../../../lib/wire/memory-kv.ts';
import { JobControl, type JobControlOptions } from '../../../services/coordinator/job-control.ts';
import type { ClusterView } from '../../../services/coordinator/job-events.ts';
import { plannedPhases } from '../../../services/coordinator/job-plan.ts';
import type { JobRecord } from '../../../services/coordinator/job-record.ts';
import { JobStore } from '../../../services/coordinator/job-store.ts';
import { testLogger } from '../../helpers/logger.ts';
import { workAsAsked } from './scripted-cluster.ts';

const CLUSTER: ClusterView = {
  workers: (['specialist', 'student', 'teacher'] as const).map((role) => ({
    id: `${role}-1`,
    role,
    address: `${role}-1:1`,
    fingerprint: 'same',
    isDraining: false,
  })),
  routers: [{ id: 'router-1', address: 'router-1:1', routes: {} }],
};

function queuedJob(): JobRecord {
  const spec = parseJobFile(`
apiVersion: stillhouse/v1
kind: Job
name: demo
data: { dataset: small }
teachers: [{ name: big, arch: simple-cnn }]
students: [{ name: left, arch: simple-cnn, classes: [ash, beech] }]
averaging: { workers: 1 }
evaluate: { control: false }
`);
  return {
    id: 'demo-1',
    name: 'demo',
    sequence: 1,
    state: 'QUEUED',
    message: '',
    phases: plannedPhases(spec, 'ALL'),
    specJson: jobSpecToJson(spec),
    datasetDigest: sha256('x'),
    skippedSamples: [],
    createdAt: '',
    endedAt: '',
    revision: 1,
    idempotencyKey: '',
    submittedDigest: '',
    scope: 'ALL',
  };
}

/** A job control whose workers do every task well, up to the publication. */
async function untilPublication() {
  const logger = testLogger();
  const store = new JobStore(new MemoryKeyValue('jobs'), logger, () => {});
  await store.create(queuedJob());
  const begin = new Map<string, () => void>();
  const say = (workerId: string, message: object) => control.workerMessage(workerId, message as WorkerMessage__Output);
  const work = async (workerId: string, start: StartTask__Output) => {
    const { taskId } = start;
    let last: object | undefined;
    const begun = new Promise<void>((resolve) => begin.set(taskId, resolve));
    const result = await workAsAsked(
      start,
      {
        signal: new AbortController().signal,
        leaderEpoch: 1,
        begun,
        ready: (fields) => say(workerId, { ready: { taskId, notice: '', ...fields } }),
        progress: (fields) => {
          last = fields;
        },
        note: () => undefined,
        onTeachers: () => {},
      },
      workerId,
    );
    say(workerId, {
      done: { taskId, last, modelDigest: '', manifestJson: '', labelsDigest: '', rules: [], ...result },
    });
  };
  let publishing: (signal: AbortSignal) => void = () => {};
  const published = new Promise<AbortSignal>((resolve) => {
    publishing = resolve;
  });
  const options: JobControlOptions = {
    store,
    logger,
    sessions: {
      send: (workerId, { start, begin: begun }) => {
        // As over a stream: the answer comes later.
        if (start) setImmediate(() => void work(workerId, start as StartTask__Output));
        if (begun) begin.get(begun.taskId ?? '')?.();
      },
    },
    publish: async (_job, _models, _route, signal) => {
      publishing(signal);
      return await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
  };
  const control = new JobControl(options);
  control.setCluster(CLUSTER);
  control.poke();
  return { control, store, signal: await published };
}

test('cancelling a job that publishes ends the publication', async (t) => {
  const { control, store, signal } = await untilPublication();
  t.false(signal.aborted);
  const job = control.cancel(store.get('demo-1') as JobRecord);
  t.is(job.state, 'CANCELLED');
  t.true(signal.aborted);
});

test('the coordinator that ends ends the publication', async (t) => {
  const { control, signal } = await untilPublication();
  control.close();
  t.true(signal.aborted);
});

test('a job that starts before the news of who is left finds no worker that was lost', async (t) => {
  const logger = testLogger();
  const store = new JobStore(new MemoryKeyValue('jobs'), logger, () => {});
  const started: string[] = [];
  const send: JobControlOptions['sessions']['send'] = (workerId, { start }) => {
    if (start) started.push(workerId);
  };
  const control = new JobControl({ store, logger, sessions: { send }, publish: () => Promise.reject(new Error()) });
  control.setCluster(CLUSTER);
  control.workerLost('teacher-1', 'its stream ended');
  await store.create(queuedJob());
  control.poke();
  t.deepEqual(started, []);
  t.is(store.get('demo-1')?.message, 'waits for 1 more teacher-worker (0 of 1 there)');
  control.setCluster(CLUSTER);
  t.deepEqual(started, ['teacher-1']);
});
