/** Names on NATS. Permissions hang on the prefixes, so nothing else may build a subject. */
import { StillhouseError } from '../base/errors.ts';

const ROOT = 'still.v1';

/** KV buckets and the object store. */
export const BUCKETS = {
  jobs: 'still_jobs',
  views: 'still_views',
  leader: 'still_leader',
  routes: 'still_routes',
  models: 'still_models',
  objects: 'still_objects',
} as const;

export type BucketName = keyof typeof BUCKETS;

/** Revisions kept per key: as many of a route as can be rolled back to. JetStream's limit is 64. */
export const BUCKET_HISTORY: Readonly<Record<Exclude<BucketName, 'objects'>, number>> = {
  jobs: 1,
  views: 1,
  leader: 1,
  routes: 32,
  models: 8,
};

/** Throws INVALID_ARGUMENT unless `id` is a single token of a subject. */
export function subjectToken(id: string, what: string): string {
  if (/^[-_a-zA-Z0-9]{1,128}$/.test(id)) return id;
  throw new StillhouseError('INVALID_ARGUMENT', `the ${what} "${id}" is not 1 to 128 letters, digits, - and _`, {
    field: what,
  });
}

/** Partial sums for the owner of a part. */
export function gradientSubject(jobId: string, ownerWorkerId: string): string {
  return `${ROOT}.${subjectToken(jobId, 'job id')}.grad.${subjectToken(ownerWorkerId, 'worker id')}`;
}

/** Averaged parts for everyone of the job. */
export function averageSubject(jobId: string): string {
  return `${ROOT}.${subjectToken(jobId, 'job id')}.avg`;
}

/** Requests to one worker of the job, such as sending a part again. */
export function controlSubject(jobId: string, workerId: string): string {
  return `${ROOT}.${subjectToken(jobId, 'job id')}.ctl.${subjectToken(workerId, 'worker id')}`;
}

export function heartbeatSubject(role: string, id: string): string {
  return `${ROOT}.hb.${subjectToken(role, 'role')}.${subjectToken(id, 'worker id')}`;
}

/** All heartbeats, or those of one role. */
export function heartbeatPattern(role?: string): string {
  return role === undefined ? `${ROOT}.hb.>` : `${ROOT}.hb.${subjectToken(role, 'role')}.*`;
}
