/** The state of a job's run, and one turn of its machine: what a call of `step` may change and what it wants done. */
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import type { RouteRecord } from '../../lib/wire/records.ts';
import type { ClusterView, JobEffect, PublishedModel, TaskCommand, TaskResult, TaughtModel } from './job-events.ts';
import type { JobRecord, PhaseRecord, TeacherShareRecord } from './job-record.ts';
import type { AdviceState } from './teacher-advice.ts';

/**
 * Where the current phase stands.
 *
 *     gathering → serving-teacher → loading → running → (next phase)      training, labelling, evaluation
 *     gathering → publishing → routing → (next phase)                     publication
 *     gathering → loading → running → publishing → routing → (next phase) choice of a route's rule, if it changes
 */
export type Stage =
  /** Workers are missing. */
  | { readonly kind: 'gathering'; readonly sinceMs: number }
  /** Teacher-workers load what the student learns from; it begins with the first one that is ready. */
  | { readonly kind: 'serving-teacher'; readonly sinceMs: number }
  /** Workers load; the task begins when all are ready. */
  | { readonly kind: 'loading'; readonly sinceMs: number }
  | { readonly kind: 'running'; readonly begunMs: number }
  /** Models and route are being written. */
  | { readonly kind: 'publishing' }
  /** Routers have to take the route over. */
  | { readonly kind: 'routing'; readonly sinceMs: number };

/** A worker's part in the current phase. */
export interface TaskRun {
  readonly taskId: string;
  readonly workerId: string;
  readonly isReady: boolean;
  readonly parameters: number;
  readonly stepsTotal: number;
  readonly result: TaskResult | undefined;
}

/** A teacher-worker that answers students, over several phases. */
export interface Serving {
  readonly taskId: string;
  readonly workerId: string;
  readonly address: string;
  readonly teachers: readonly TaughtModel[];
  readonly isReady: boolean;
  /** It drains: it answers what it has taken on, and students ask others. */
  readonly isLeaving: boolean;
  readonly sinceMs: number;
}

/** A teacher-worker that could not serve for a reason that may pass. */
export interface Retry {
  /** In a row. */
  readonly failures: number;
  readonly atMs: number;
  readonly reason: string;
}

export interface Run {
  readonly startedMs: number;
  readonly phaseIndex: number;
  readonly phaseStartedMs: number;
  readonly stage: Stage;
  /** How often the current phase has begun again. */
  readonly restarts: number;
  readonly tasks: readonly TaskRun[];
  readonly servings: readonly Serving[];
  /** What the students were last told of who serves their task. */
  readonly offered: string;
  /** When servings that nobody needs any more end; undefined while they are needed. */
  readonly releaseMs: number | undefined;
  /** Of all teacher-workers of a reproducible job, once one has been chosen. */
  readonly teacherEngine: string | undefined;
  /** Teacher-workers that serve no more in this job, and why. */
  readonly leftOut: Readonly<Record<string, string>>;
  readonly retries: Readonly<Record<string, Retry>>;
  /** The index of the phase for which each serving was started, by its task; also of those that have ended. */
  readonly servedFrom: Readonly<Record<string, number>>;
  /** What each of them last said of its teachers, by its task: what it says next counts from there. */
  readonly counted: Readonly<Record<string, readonly TeacherShareRecord[]>>;
  /** The latest distillation that has begun: nothing counts for a later one. */
  readonly sharesPhase: number | undefined;
  /** Until when it counts the time that they served; undefined until it has begun. */
  readonly countedMs: number | undefined;
  readonly advice: AdviceState;
  /** Digests of the models that can teach, by name: teachers, and students that have been distilled. */
  readonly models: Readonly<Record<string, string>>;
  /** The first teacher's answers to all training images; empty where it gives none. */
  readonly labelsDigest: string;
  /** Distilled so far and to be published, in the order of the job file. */
  readonly students: readonly PublishedModel[];
  /** Their control arms. */
  readonly controls: readonly PublishedModel[];
  /** Of the last view that was dealt; views are numbered within the job. */
  readonly viewNumber: number;
  readonly tasksStarted: number;
  /** What was written last, or is being written. */
  readonly route: RouteRecord | undefined;
  /** Of the route that was written last; 0 until there is one. */
  readonly routeRevision: number;
  /** A failure that may only be the consequence of another one, which is about to be heard of. */
  readonly suspicion: { readonly message: string; readonly sinceMs: number } | undefined;
}

export interface MachineState {
  readonly spec: JobSpec;
  readonly job: JobRecord;
  readonly cluster: ClusterView;
  /** Absent while the job is queued and after it has ended. */
  readonly run: Run | undefined;
}

/** Of a phase, all together. */
const NOTICE_CHARACTERS_MAX = 2_000;

export class Turn {
  readonly nowMs: number;
  /** ISO 8601, for records. */
  readonly nowIso: string;
  readonly effects: JobEffect[] = [];
  state: MachineState;

  constructor(state: MachineState, nowMs: number, nowIso: string) {
    this.state = state;
    this.nowMs = nowMs;
    this.nowIso = nowIso;
  }

  get spec(): JobSpec {
    return this.state.spec;
  }

  get cluster(): ClusterView {
    return this.state.cluster;
  }

  /** The run; only called while there is one. */
  get run(): Run {
    const { run } = this.state;
    if (run === undefined) throw new Error('the job does not run');
    return run;
  }

  get phase(): PhaseRecord {
    const phase = this.state.job.phases[this.run.phaseIndex];
    if (phase === undefined) throw new Error('the job has no such phase');
    return phase;
  }

  patchJob(patch: Partial<JobRecord>): void {
    this.state = { ...this.state, job: { ...this.state.job, ...patch } };
  }

  patchRun(patch: Partial<Run>): void {
    this.state = { ...this.state, run: { ...this.run, ...patch } };
  }

  patchPhase(patch: Partial<PhaseRecord>): void {
    this.patchPhaseAt(this.run.phaseIndex, patch);
  }

  patchPhaseAt(index: number, patch: Partial<PhaseRecord>): void {
    const phases = this.state.job.phases.map((phase, at) => (at === index ? { ...phase, ...patch } : phase));
    this.patchJob({ phases });
  }

  /** Adds to what users should know of the phase, unless it says so already or has said enough. */
  note(text: string): void {
    const { notice } = this.phase;
    if (text === '' || notice.includes(text)) return;
    const longer = notice === '' ? text : `${notice}; ${text}`;
    if (longer.length <= NOTICE_CHARACTERS_MAX || notice === '') this.patchPhase({ notice: longer });
  }

  /** Sets the sentence for people, if it is another one. */
  say(message: string): void {
    if (this.state.job.message === message) return;
    this.patchJob({ message });
    this.save();
  }

  save(): void {
    if (!this.effects.some(({ kind }) => kind === 'save')) this.effects.push({ kind: 'save' });
  }

  startTask(workerId: string, command: TaskCommand): string {
    const tasksStarted = this.run.tasksStarted + 1;
    this.patchRun({ tasksStarted });
    const taskId = `${this.state.job.id}.${tasksStarted}`;
    this.effects.push({ kind: 'start-task', workerId, taskId, command });
    return taskId;
  }

  cancelTasks(tasks: readonly { readonly workerId: string; readonly taskId: string }[]): void {
    for (const { workerId, taskId } of tasks) this.effects.push({ kind: 'cancel-task', workerId, taskId });
  }
}
