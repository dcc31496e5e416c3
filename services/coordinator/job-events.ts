/** What a job hears and what it wants done: the vocabulary between the pure machine and its shell. */
import type { ErrorCode } from '../../lib/base/errors.ts';
import type { RouteRecord } from '../../lib/wire/records.ts';
import type { RouteRule } from '../../lib/wire/route-rules.ts';
import type { ShareRecord, TeacherShareRecord } from './job-record.ts';

/** A worker that is attached and alive. */
export interface ClusterWorker {
  readonly id: string;
  readonly role: 'teacher' | 'student' | 'specialist';
  /** `host:port`; empty for students. */
  readonly address: string;
  /** Equal fingerprints compute bit-identically. */
  readonly fingerprint: string;
  /** It will go, and gets no new tasks. */
  readonly isDraining: boolean;
}

/** A router that is alive. */
export interface ClusterRouter {
  readonly id: string;
  readonly address: string;
  /** The revision of each route that all its requests go by. */
  readonly routes: Readonly<Record<string, number>>;
}

/** Who is there; both lists sorted by id. */
export interface ClusterView {
  readonly workers: readonly ClusterWorker[];
  readonly routers: readonly ClusterRouter[];
}

/** See the message TaskProgress. */
export interface Progress {
  readonly step: number;
  readonly firstLoss: number;
  readonly loss: number;
  readonly epoch: number;
  readonly epochs: number;
  readonly epochLoss: number;
  readonly epochAccuracy: number;
  readonly finishedEpoch: number;
  readonly finishedEpochLoss: number;
  readonly finishedEpochAccuracy: number;
  readonly checkpointDigest: string;
  readonly checkpointEpoch: number;
  readonly bestEpoch: number;
  readonly bestAccuracy: number;
  readonly stoppedEarly: boolean;
  readonly notice: string;
  /** Absent where a task trains nothing. */
  readonly share: ShareRecord | undefined;
  /** Of a task that serves teachers. */
  readonly teachers: readonly TeacherShareRecord[];
}

/** What a route's answers by one rule came to, as a worker says: any rule, any numbers. */
export interface ReportedRule {
  readonly rule: string;
  readonly correct: number;
  readonly evaluatedImages: number;
}

/** See the message TaskDone. */
export interface TaskResult {
  readonly last: Progress | undefined;
  readonly modelDigest: string;
  readonly manifestJson: string;
  readonly correct: number;
  readonly evaluatedImages: number;
  readonly predictImagesPerSecond: number;
  readonly rules: readonly ReportedRule[];
  readonly labelsDigest: string;
  readonly droppedDigest: string;
}

export type JobEvent =
  /** It is this job's turn. */
  | { readonly kind: 'start' }
  | { readonly kind: 'cancel' }
  /** Time has passed. */
  | { readonly kind: 'tick' }
  | { readonly kind: 'cluster'; readonly cluster: ClusterView }
  /** Comes before the `cluster` event without the worker, and says why. */
  | { readonly kind: 'worker-lost'; readonly workerId: string; readonly reason: string }
  | {
      readonly kind: 'ready';
      readonly workerId: string;
      readonly taskId: string;
      readonly parameters: number;
      readonly stepsTotal: number;
      readonly notice: string;
    }
  | { readonly kind: 'progress'; readonly workerId: string; readonly taskId: string; readonly progress: Progress }
  | { readonly kind: 'done'; readonly workerId: string; readonly taskId: string; readonly result: TaskResult }
  | {
      readonly kind: 'failed';
      readonly workerId: string;
      readonly taskId: string;
      readonly code: ErrorCode;
      readonly message: string;
      readonly field: string;
    }
  /** The answer to the effect `publish`. */
  | { readonly kind: 'published'; readonly routeRevision: number }
  | { readonly kind: 'publish-failed'; readonly message: string };

export interface PublishedModel {
  readonly name: string;
  readonly digest: string;
  readonly manifestJson: string;
}

export interface ViewMember {
  readonly workerId: string;
  readonly firstLane: number;
  readonly lanes: number;
}

export interface View {
  readonly number: number;
  readonly members: readonly ViewMember[];
}

/** See the message TaughtModel. */
export interface TaughtModel {
  readonly teacher: string;
  readonly modelDigest: string;
}

export interface TeacherEndpoint extends TaughtModel {
  readonly workerId: string;
  readonly address: string;
}

/** The task of a StartTask; see the messages of the same names. */
export type TaskCommand =
  | { readonly kind: 'train-teacher'; readonly teacher: string; readonly view: View }
  | { readonly kind: 'evaluate-teacher'; readonly teacher: string }
  | ({ readonly kind: 'label-images'; readonly answers: boolean } & TaughtModel)
  | { readonly kind: 'serve-teacher'; readonly teachers: readonly TaughtModel[] }
  | {
      readonly kind: 'train-student';
      readonly student: string;
      readonly control: boolean;
      readonly view: View;
      readonly taughtBy: readonly TaughtModel[];
      readonly teachers: readonly TeacherEndpoint[];
      readonly labelsDigest: string;
    }
  | {
      readonly kind: 'evaluate-route';
      readonly route: string;
      readonly routerAddress: string;
      readonly rules: readonly RouteRule[];
      readonly split: 'calibrate' | 'test';
    };

export type JobEffect =
  | { readonly kind: 'start-task'; readonly workerId: string; readonly taskId: string; readonly command: TaskCommand }
  | { readonly kind: 'begin-task'; readonly workerId: string; readonly taskId: string }
  | { readonly kind: 'cancel-task'; readonly workerId: string; readonly taskId: string }
  /** The teachers that serve a student's task from now on. */
  | {
      readonly kind: 'update-teachers';
      readonly workerId: string;
      readonly taskId: string;
      readonly teachers: readonly TeacherEndpoint[];
    }
  | { readonly kind: 'publish'; readonly models: readonly PublishedModel[]; readonly route: RouteRecord }
  /** Write the job's record: more than its progress has changed. */
  | { readonly kind: 'save' }
  /** Something that does not fit was left out of account. */
  | { readonly kind: 'warn'; readonly workerId: string; readonly message: string };
