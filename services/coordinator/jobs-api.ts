/** The part of the Coordinator service about jobs and the cluster. */
import type { EventEmitter } from 'node:events';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Datasets } from '../../lib/wire/datasets.ts';
import type { JobScope__Output } from '../../lib/wire/generated/stillhouse/v1/JobScope.ts';
import type { Implementation } from '../../lib/wire/grpc.ts';
import type { InitialModels } from './initial-models.ts';
import type { JobControl } from './job-control.ts';
import { hasEnded, type JobRecord, type JobScopeName, jobMessage } from './job-record.ts';
import type { JobStore } from './job-store.ts';
import { submitJob } from './job-submission.ts';
import type { Membership } from './membership.ts';

export interface JobsApiOptions {
  readonly store: JobStore;
  readonly control: JobControl;
  readonly membership: Membership;
  /** To check jobs against. */
  readonly datasets: Datasets;
  readonly leaderEpoch: number;
  /** Aborted when the coordinator ends: watches end with it. */
  readonly ending: AbortSignal;
  /** What teachers and students can start from. */
  readonly initialModels: InitialModels;
}

type JobMethods = 'SubmitJob' | 'GetJob' | 'ListJobs' | 'WatchJob' | 'CancelJob' | 'GetCluster';

export function jobsApi(options: JobsApiOptions): Pick<Implementation<'Coordinator'>, JobMethods> {
  const { store, control, membership, datasets, initialModels, leaderEpoch, ending } = options;
  const find = (id: string): JobRecord => {
    const job = store.get(id);
    if (job !== undefined) return job;
    throw new StillhouseError('NOT_FOUND', `there is no job "${id}"`, {
      field: 'id',
      hint: 'ListJobs names all of them',
    });
  };
  // One after the other: two submissions with the same key must see each other.
  let submissions: Promise<unknown> = Promise.resolve();
  return {
    SubmitJob: async ({ spec, idempotencyKey, scope: asked }) => {
      const scope = scopeOf(asked);
      const submission = submissions.then(() =>
        submitJob(store, datasets, initialModels, { text: spec, idempotencyKey, scope }),
      );
      submissions = submission.catch(() => undefined);
      const job = await submission;
      control.poke();
      return jobMessage(store.get(job.id) ?? job);
    },
    GetJob: ({ id }) => jobMessage(find(id)),
    ListJobs: () => ({ jobs: store.list().map(jobMessage) }),
    CancelJob: ({ id }) => jobMessage(control.cancel(find(id))),
    GetCluster: () => ({
      leaderEpoch,
      members: membership.members().map((member) => ({ ...member, modelDigests: [...member.modelDigests] })),
    }),
    WatchJob: async ({ id, afterRevision }, call, { signal }) => {
      find(id);
      const watched = AbortSignal.any([signal, ending]);
      let seen = afterRevision;
      for await (const job of changes(store, id, watched)) {
        if (job.revision > seen) {
          seen = job.revision;
          const isTaken = call.write({ revision: job.revision, job: jobMessage(job) });
          if (!isTaken) await drained(call, watched);
        }
        if (hasEnded(job)) return;
      }
      watched.throwIfAborted();
    },
  };
}

function scopeOf(asked: JobScope__Output): JobScopeName {
  if (asked === 'JOB_SCOPE_ALL') return 'ALL';
  if (asked === 'JOB_SCOPE_LABEL') return 'LABEL';
  throw new StillhouseError('INVALID_ARGUMENT', `scope: ${asked} is none that this release knows`, { field: 'scope' });
}

/** The job now and after changes, always the latest: a slow reader misses those in between. Ends when aborted. */
async function* changes(store: JobStore, id: string, signal: AbortSignal): AsyncGenerator<JobRecord> {
  let wake = () => {};
  let hasChanged = true;
  const notice = () => {
    hasChanged = true;
    wake();
  };
  const stop = store.onChange((job) => {
    if (job.id === id) notice();
  });
  signal.addEventListener('abort', notice, { once: true });
  try {
    while (!signal.aborted) {
      if (!hasChanged) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      hasChanged = false;
      const job = store.get(id);
      if (job !== undefined && !signal.aborted) yield job;
    }
  } finally {
    stop();
    signal.removeEventListener('abort', notice);
  }
}

/** Resolves when the stream takes more, or when the signal is aborted; leaves no listener behind. */
export function drained(stream: EventEmitter, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      stream.off('drain', end);
      signal.removeEventListener('abort', end);
      resolve();
    };
    stream.once('drain', end);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
  });
}
