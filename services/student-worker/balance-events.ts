/** What `TeacherBalance` is told, and what it wants done. */
import type { ErrorCode, StillhouseError } from '../../lib/base/errors.ts';
import type { BatchKey } from './teacher-load.ts';

export type Effect =
  /** Make the stream to a teacher. */
  | { readonly type: 'open'; readonly teacher: string }
  | { readonly type: 'close'; readonly teacher: string }
  /** `deadlineMs`: from now, after which no answer is wanted; 0: never. */
  | { readonly type: 'send'; readonly teacher: string; readonly key: BatchKey; readonly deadlineMs: number }
  | { readonly type: 'cancel'; readonly teacher: string; readonly key: BatchKey }
  /** The answer that was told of is the first one: use it. */
  | { readonly type: 'deliver'; readonly key: BatchKey }
  | { readonly type: 'fail'; readonly key: BatchKey; readonly error: StillhouseError };

/** Why a batch was not answered. */
export interface Refusal {
  readonly code: ErrorCode;
  /** Names teacher, worker and sample. */
  readonly message: string;
  /** 0: not said. */
  readonly retryAfterMs: number;
}

/** Where teachers are equal, students that stand at different places ask different ones first. */
export interface BalanceOptions {
  /** From 0. */
  readonly place: number;
  /** That ask the same teachers; more than `place`. */
  readonly students: number;
}
