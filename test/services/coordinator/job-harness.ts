/** Drives the job machine as its shell would: a cluster of names, and tasks that are answered by what the test asks for. */
import { sha256 } from '../../../lib/base/digest.ts';
import { type JobSpec, parseJobFile } from '../../../lib/wire/job-file.ts';
import type {
  ClusterView,
  ClusterWorker,
  JobEffect,
  JobEvent,
  Progress,
  TaskResult,
} from '../../../services/coordinator/job-events.ts';
import { queuedJob, step } from '../../../services/coordinator/job-machine.ts';
import { plannedPhases } from '../../../services/coordinator/job-plan.ts';
import type {
  JobRecord,
  JobScopeName,
  PhaseName,
  PhaseRecord,
  ShareRecord,
  TeacherShareRecord,
} from '../../../services/coordinator/job-record.ts';
import type { MachineState } from '../../../services/coordinator/job-turn.ts';

export const CLASS_NAMES = ['a', 'b', 'c', 'd'];

/** @param overrides as after `--set` @param changes more blocks of the job file */
export function spec(changes = '', overrides: readonly string[] = []): JobSpec {
  const text = `
apiVersion: stillhouse/v1
kind: Job
name: demo
data: { dataset: small, views: { flip: true } }
teachers: [{ name: big, arch: simple-cnn }]
students: [{ name: left, arch: simple-cnn, classes: [a, b] }, { name: right, arch: simple-cnn, classes: [c, d] }]
limits: { workerWaitSeconds: 60, deadlineMinutes: 30 }
${changes}`;
  return parseJobFile(text, { overrides });
}

export function worker(id: string, role: ClusterWorker['role'], fingerprint = 'same'): ClusterWorker {
  return { id, role, address: role === 'student' ? '' : `${id}:1`, fingerprint, isDraining: false };
}

export const FULL: ClusterView = {
  workers: [
    worker('specialist-1', 'specialist'),
    worker('student-1', 'student'),
    worker('student-2', 'student'),
    worker('teacher-1', 'teacher'),
  ],
  routers: [{ id: 'router-1', address: 'router-1:1', routes: {} }],
};

export const without = (id: string): ClusterView => ({ ...FULL, workers: FULL.workers.filter((one) => one.id !== id) });

function manifestOf(name: string, dustbin: boolean): string {
  const digest = sha256('x');
  return JSON.stringify({
    formatVersion: 1,
    name: `demo/${name}`,
    architecture: { name: 'simple-cnn' },
    classNames: name === 'left' ? ['a', 'b'] : ['c', 'd'],
    classIds: name === 'left' ? [0, 1] : [2, 3],
    ...(dustbin ? { dustbin } : {}),
    parentClassNames: CLASS_NAMES,
    input: { height: 32, width: 32, channels: 3 },
    preprocessing: { scale: '0..1', mean: [0, 0, 0], std: [1, 1, 1] },
    calibration: null,
    lineage: { job: 'demo-1', jobSpecDigest: digest, dataset: digest, teacher: digest, arm: 'distil' },
    weights: { file: 'weights.safetensors', digest, parameters: 5 },
  });
}

export type Started = Extract<JobEffect, { kind: 'start-task' }>;

export const LABELS = sha256('labels');

type Publication = Extract<JobEffect, { kind: 'publish' }>;

export class Harness {
  state: MachineState;
  nowMs = 0;
  effects: JobEffect[] = [];
  readonly open = new Map<string, Started>();

  /** As `spec`. */
  constructor(changes = '', overrides: readonly string[] = [], scope: JobScopeName = 'ALL') {
    const jobSpec = spec(changes, overrides);
    const job: JobRecord = {
      id: 'demo-1',
      name: 'demo',
      sequence: 1,
      state: 'QUEUED',
      message: '',
      phases: plannedPhases(jobSpec, scope),
      specJson: '',
      datasetDigest: sha256('x'),
      skippedSamples: [],
      createdAt: '',
      endedAt: '',
      revision: 1,
      idempotencyKey: '',
      submittedDigest: '',
      scope,
    };
    this.state = queuedJob(jobSpec, job);
  }

  get job(): JobRecord {
    return this.state.job;
  }

  send(event: JobEvent): JobEffect[] {
    const result = step(this.state, event, { nowMs: this.nowMs, nowIso: 'now' });
    if (result.state.job !== this.state.job && result.state.job.revision !== this.state.job.revision + 1) {
      throw new Error('a change without a new revision');
    }
    this.state = result.state;
    this.effects = [...result.effects];
    for (const effect of this.effects) {
      if (effect.kind === 'start-task') this.open.set(effect.workerId, effect);
      if (effect.kind === 'cancel-task') this.open.delete(effect.workerId);
    }
    return this.effects;
  }

  begin(cluster = FULL): void {
    this.send({ kind: 'cluster', cluster });
    this.send({ kind: 'start' });
  }

  /** All tasks of the kinds of the current phase that are open. */
  tasks(kind: Started['command']['kind']): Started[] {
    return [...this.open.values()].filter(({ command }) => command.kind === kind);
  }

  ready(kind: Started['command']['kind'], stepsTotal = 10): void {
    for (const { workerId, taskId } of this.tasks(kind)) {
      this.send({ kind: 'ready', notice: '', workerId, taskId, parameters: 5, stepsTotal });
    }
  }

  done(kind: Started['command']['kind'], change: (workerId: string, result: TaskResult) => TaskResult = (_, r) => r) {
    for (const [at, task] of this.tasks(kind).entries()) {
      const { workerId, taskId } = task;
      this.open.delete(workerId);
      this.send({
        kind: 'done',
        workerId,
        taskId,
        result: change(workerId, resultOf(task, at === 0, this.state.spec)),
      });
    }
  }

  /** Runs until the phase with this index has its tasks started (or, for PUBLISH, its effect out). */
  runTo(phaseIndex: number): void {
    for (let at = 0; at < phaseIndex; at++) this.finishPhase();
  }

  finishPhase(): void {
    const phase = this.phase;
    const kinds: Record<PhaseName, Started['command']['kind'] | undefined> = {
      TRAIN_TEACHER: 'train-teacher',
      EVALUATE_TEACHER: 'evaluate-teacher',
      LABEL: 'label-images',
      DISTIL: 'train-student',
      CONTROL: 'train-student',
      PUBLISH: undefined,
      CHOOSE_RULE: 'evaluate-route',
      EVALUATE_ROUTE: 'evaluate-route',
    };
    const kind = phase && kinds[phase.kind];
    if (phase?.kind === 'DISTIL') this.ready('serve-teacher', 0);
    this.nowMs += 1_000;
    if (kind === undefined) {
      this.serveRoute();
      return;
    }
    this.ready(kind);
    this.nowMs += 2_000;
    this.done(kind);
    if (this.phase?.kind === 'CHOOSE_RULE' && this.publication?.route.name === phase?.subject) this.serveRoute();
  }

  /** The phase that runs. */
  get phase(): PhaseRecord | undefined {
    return this.job.phases.find(({ state }) => state === 'RUNNING');
  }

  /** What the last event had written. */
  get publication(): Publication | undefined {
    return this.effects.find((effect) => effect.kind === 'publish');
  }

  /** Acknowledges the publication, and has the router take the route over. */
  serveRoute(): void {
    this.send({ kind: 'published', routeRevision: 7 });
    this.send({ kind: 'cluster', cluster: withRoute(7) });
  }
}

export function withRoute(revision: number): ClusterView {
  return {
    ...FULL,
    routers: [{ id: 'router-1', address: 'router-1:1', routes: { demo: revision, 'demo-control': revision } }],
  };
}

export function shareOf(workerId: string, firstLane: number, lanes: number): ShareRecord {
  return {
    workerId,
    firstLane,
    lanes,
    stepsCommitted: 10,
    samplesCommitted: 100,
    gradientBytesSent: 1,
    gradientBytesReceived: 1,
    teacherSamples: 100,
    weightsDigest: 'w',
    teacherWaitMs: 0,
    averagingWaitMs: 0,
    dataWaitMs: 0,
    pid: 1,
    cachedSamples: 0,
    batchesResent: 0,
    duplicateAnswers: 0,
    logitsBytesReceived: 0,
    evaluationMs: 0,
  };
}

/** What a teacher-worker says of a teacher: counters since it was loaded. */
export function teacherShareOf(
  workerId: string,
  teacher: string,
  samples: number,
  servingMs: number,
): TeacherShareRecord {
  return {
    workerId,
    teacher,
    samplesServed: samples,
    samplesComputed: samples,
    samplesCached: 0,
    samplesRepeated: 0,
    batchesRefused: 0,
    samplesQueued: 1,
    bytesSent: 4 * samples,
    computeMs: samples,
    servingMs,
  };
}

const EMPTY_RESULT: TaskResult = {
  last: undefined,
  modelDigest: '',
  manifestJson: '',
  correct: 0,
  evaluatedImages: 0,
  predictImagesPerSecond: 0,
  rules: [],
  labelsDigest: '',
  droppedDigest: '',
};

export function progressOf(step: number, loss: number, share: ShareRecord): Progress {
  const epoch = { epoch: 1, epochs: 2, epochLoss: loss, epochAccuracy: 0.5, checkpointDigest: '', checkpointEpoch: 0 };
  const finished = { finishedEpoch: 0, finishedEpochLoss: 0, finishedEpochAccuracy: 0 };
  const best = { bestEpoch: 0, bestAccuracy: 0, stoppedEarly: false, notice: '' };
  return { step, firstLoss: 2, loss, ...epoch, ...finished, ...best, share, teachers: [] };
}

/** What a worker answers that does its task well. @param stores whether it is the one that stores the model */
export function resultOf({ workerId, command }: Started, stores: boolean, { students }: JobSpec): TaskResult {
  if (command.kind === 'label-images') return { ...EMPTY_RESULT, labelsDigest: command.answers ? LABELS : '' };
  if (command.kind === 'evaluate-teacher') {
    return { ...EMPTY_RESULT, modelDigest: sha256(command.teacher), correct: 1, evaluatedImages: 2 };
  }
  if (command.kind === 'evaluate-route') {
    const rules = command.rules.map((rule) => ({ rule, correct: 3, evaluatedImages: 4 }));
    return { ...EMPTY_RESULT, correct: 3, evaluatedImages: 4, rules };
  }
  const member = 'view' in command && command.view.members.find((one) => one.workerId === workerId);
  const last = progressOf(10, 1, member ? shareOf(workerId, member.firstLane, member.lanes) : shareOf(workerId, 0, 1));
  if (!stores) return { ...EMPTY_RESULT, last };
  const student = command.kind === 'train-student' ? command : { student: teacherName(command), control: false };
  const dustbin = students.find(({ name }) => name === student.student)?.dustbin === true;
  return {
    ...EMPTY_RESULT,
    last,
    modelDigest: sha256(student.control ? `${student.student}-control` : student.student),
    manifestJson: manifestOf(student.student, dustbin),
    correct: 1,
    evaluatedImages: 2,
    predictImagesPerSecond: 300,
    droppedDigest: sha256(`dropped by ${student.student}${student.control ? '-control' : ''}`),
  };
}

function teacherName(command: Started['command']): string {
  return command.kind === 'train-teacher' && command.teacher !== 'big' ? command.teacher : 'teacher';
}
