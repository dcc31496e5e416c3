/** What the processes of the teacher benchmark are asked, one line of JSON each. */
import type { Arm } from './cases.ts';

/** A job whose teacher is served. */
export interface Served {
  readonly jobId: string;
  readonly jobJson: string;
  readonly modelDigest: string;
  /** `host:port`. */
  readonly address: string;
}

export type TeacherRequest =
  | { readonly call: 'info' }
  /** Stores a teacher for the job, serves it. @param logitsFolder of what is stored */
  | { readonly call: 'serve'; readonly jobId: string; readonly jobJson: string; readonly logitsFolder: string }
  /** Processor time so far. */
  | { readonly call: 'usage' };

export interface ServeAnswer {
  readonly modelDigest: string;
  readonly address: string;
}

export interface Usage {
  /** Of all threads. */
  readonly processorMs: number;
}

export type StudentRequest =
  | { readonly call: 'info' }
  /** Makes one way to train ready. @param logitsFolder what the student reads itself; null: nothing */
  | ({ readonly call: 'open'; readonly arm: Arm; readonly logitsFolder: string | null } & Served)
  /** One turn of it, timed. */
  | { readonly call: 'turn'; readonly arm: Arm }
  /** Opens a stream, and asks once for all batches: what is not stored yet is then. */
  | ({ readonly call: 'stream' } & Served)
  /** Asks for so many batches, timed. */
  | { readonly call: 'ask'; readonly batches: number }
  | { readonly call: 'close' };

export interface TurnAnswer {
  /** Of the steps that were timed, from one to the next. */
  readonly ms: readonly number[];
  /** Of the same steps, all threads. */
  readonly processorMs: number;
  /** Of the same steps. */
  readonly teacherWaitMs: number;
  /** So far. */
  readonly cachedSamples: number;
}

export interface AskAnswer {
  readonly ms: number;
  readonly processorMs: number;
  readonly samples: number;
  readonly bytes: number;
}
