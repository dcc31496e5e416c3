/** What follows from what a teacher refuses, or fails with. Pure. */
import type { ErrorCode } from '../../lib/base/errors.ts';
import type { OpenBatch } from './open-batches.ts';
import type { KnownTeacher } from './teacher-set.ts';

/** What a teacher may say without anything being wrong with it or the batch. */
const TRANSIENT: ReadonlySet<ErrorCode> = new Set([
  'UNAVAILABLE',
  'CANCELLED',
  'RESOURCE_EXHAUSTED',
  'DEADLINE_EXCEEDED',
  'ABORTED',
]);

/** First and longest time for which a teacher is left alone: one that is lost, and one that answers wrongly. */
const LOST_MS = { first: 200, longest: 5_000 };
const WRONG_MS = { first: 1_000, longest: 30_000 };

/** A batch is given up after so many failures that may be its own fault. */
const FAILURES_MAX = 3;
/** A batch that was on so many streams that failed may have been what they failed at. */
const CUTS_MAX = 10;

export function isTransient(code: ErrorCode): boolean {
  return TRANSIENT.has(code);
}

/** Whether a teacher that refuses a batch so, or answers so, is not to be asked for a while. */
export function isFailing({ load, trust }: KnownTeacher, code: ErrorCode, nowMs: number): boolean {
  switch (code) {
    case 'UNAVAILABLE':
      return load.state !== 'draining';
    case 'RESOURCE_EXHAUSTED':
    case 'DEADLINE_EXCEEDED':
      // What it still has of this student's it may answer yet.
      return trust.hadNoRoom(nowMs) && load.sent.size === 0;
    default:
      return code === 'FAILED_PRECONDITION' || code === 'DATA_LOSS';
  }
}

/**
 * @param breaks how often in a row it has failed before
 * @param retryAfterMs as it has asked for
 */
export function pauseMs(code: ErrorCode, breaks: number, retryAfterMs: number): number {
  const { first, longest } = isTransient(code) ? LOST_MS : WRONG_MS;
  return Math.min(longest, Math.max(first * 2 ** breaks, retryAfterMs));
}

/**
 * Whether nobody will answer a batch that has just been refused. The only teacher gets further chances, unless the batch is malformed.
 * @param listed the teachers that there are
 */
export function isGivenUp({ failures, refusedBy }: OpenBatch, listed: readonly string[], code: ErrorCode): boolean {
  if (failures >= FAILURES_MAX) return true;
  if (listed.length <= 1) return code === 'INVALID_ARGUMENT';
  return listed.every((teacher) => refusedBy.has(teacher));
}

/** Whether a batch whose stream has just failed is asked for no more. */
export function isGivenUpAfterCuts({ cuts }: OpenBatch): boolean {
  return cuts >= CUTS_MAX;
}
