/** The state of a job's run, and one turn of its machine: what a call of `step` may change and what it wants done. */
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import type { RouteRecord } from '../../lib/wire/records.ts';
import type { ClusterView, JobEffect, PublishedModel, TaskCommand, TaskResult } from './job-events.ts';
import type { JobRecord, PhaseRecord } from './job-record.ts';

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
  /** Teachers load their model. */
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
  readonly isReady: boolean;
}

export interface Run {
  readonly startedMs: number;
  readonly phaseIndex: number;
  readonly phaseStartedMs: number;
  readonly stage: Stage;
  readonly tasks: readonly TaskRun[];
  readonly servings: readonly Serving[];
  readonly teacherDigest: string;
  /** The teacher's answers to all training images; empty where it gives none. */
  readonly labelsDigest: string;
  /** Distilled so far, in the order of the job file. */
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
    const { phaseIndex } = this.run;
    const phases = this.state.job.phases.map((phase, at) => (at === phaseIndex ? { ...phase, ...patch } : phase));
    this.patchJob({ phases });
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
