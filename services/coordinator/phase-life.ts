/** What all phases of a running job have in common: they open, start tasks on workers, and end. Pure. */
import type { ClusterWorker, TaskCommand, TaskResult } from './job-events.ts';
import type { PhaseName, PhaseRecord, ShareRecord } from './job-record.ts';
import type { TaskRun, Turn } from './job-turn.ts';

const TITLES: Readonly<Record<PhaseName, string>> = {
  TRAIN_TEACHER: 'training of teacher',
  EVALUATE_TEACHER: 'evaluation of teacher',
  LABEL: 'labelling by teacher',
  DISTIL: 'distillation of student',
  CONTROL: 'control arm of student',
  PUBLISH: 'publication of route',
  CHOOSE_RULE: 'choice of the rule of route',
  EVALUATE_ROUTE: 'evaluation of route',
};

/** Time for all workers of a phase to load what they need, and for teacher-workers to load their teachers. */
export const READY_LIMIT_MS = 120_000;

export interface FinishedTask {
  readonly workerId: string;
  readonly result: TaskResult;
}

/** What a phase is called in messages, e.g. `distillation of student animals`. */
export function phaseTitle({ kind, subject }: PhaseRecord): string {
  return `${TITLES[kind]} ${subject}`;
}

/** Makes the phase at this index the current one, or the job's end when there is none. */
function openPhase(turn: Turn, phaseIndex: number): void {
  turn.patchRun({
    phaseIndex,
    phaseStartedMs: turn.nowMs,
    stage: { kind: 'gathering', sinceMs: turn.nowMs },
    restarts: 0,
    tasks: [],
  });
  turn.save();
}

/** Ends the current phase well, with what came out of it, and opens the next one. */
export function closePhase(turn: Turn, outcome: Partial<PhaseRecord> = {}): void {
  const seconds = (turn.nowMs - turn.run.phaseStartedMs) / 1000;
  turn.patchPhase({ state: 'DONE', seconds, ...outcome });
  openPhase(turn, turn.run.phaseIndex + 1);
}

/** What a worker has contributed before it begins. */
export function emptyShare(workerId: string, firstLane: number, lanes: number): ShareRecord {
  return {
    workerId,
    firstLane,
    lanes,
    stepsCommitted: 0,
    samplesCommitted: 0,
    gradientBytesSent: 0,
    gradientBytesReceived: 0,
    teacherSamples: 0,
    weightsDigest: '',
    teacherWaitMs: 0,
    averagingWaitMs: 0,
    dataWaitMs: 0,
    pid: 0,
    cachedSamples: 0,
    batchesResent: 0,
    duplicateAnswers: 0,
    logitsBytesReceived: 0,
    evaluationMs: 0,
  };
}

/** Starts the phase's task on these workers; it begins when all are ready. */
export function startTasks(turn: Turn, workers: readonly Pick<ClusterWorker, 'id'>[], command: TaskCommand): void {
  const tasks = workers.map(({ id }): TaskRun => {
    const taskId = turn.startTask(id, command);
    return { taskId, workerId: id, isReady: false, parameters: 0, stepsTotal: 0, result: undefined };
  });
  turn.patchRun({ tasks, stage: { kind: 'loading', sinceMs: turn.nowMs } });
}

export function finishedTasks(turn: Turn): FinishedTask[] {
  return turn.run.tasks.flatMap(({ workerId, result }) => (result === undefined ? [] : [{ workerId, result }]));
}
