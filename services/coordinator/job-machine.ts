/**
 * The life of one job, as a pure function: `step(state, event)` answers the next state and what the shell has to do.
 *
 *     QUEUED → RUNNING → SUCCEEDED, or FAILED with the reason, or CANCELLED
 *
 * While it runs, the phases of `job-plan.ts` follow each other; `job-turn.ts` draws the stages of a phase. The failure of any worker
 * of the current phase fails the job, but for those that serve teachers; so does its loss, where the phase cannot begin again without
 * it; so does a floor of `evaluate.floors` that was missed.
 */
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { missedFloors } from './floors.ts';
import type { ClusterView, JobEffect, JobEvent, TaskResult } from './job-events.ts';
import { advance, beginIfReady, completePhase } from './job-phases.ts';
import { endedJob, hasEnded, type JobRecord, type JobStateName } from './job-record.ts';
import { type MachineState, type TaskRun, Turn } from './job-turn.ts';
import { phaseTitle } from './phase-life.ts';
import { recordProgress } from './phase-progress.ts';
import { restartAfterLoss, restartWithoutDraining } from './phase-restart.ts';
import {
  countServingTime,
  forgetWorker,
  markLeaving,
  onServingFailed,
  onServingReady,
  releaseServings,
  tellStudents,
  updateAdvice,
} from './servings.ts';
import { NO_ADVICE } from './teacher-advice.ts';
import { recordShares } from './teacher-shares.ts';
import { withoutWorker } from './worker-choice.ts';

/** A failure for want of a connection waits this long for the news that the other side is gone, the better reason. */
const SUSPICION_MS = 1_000;

export const EMPTY_CLUSTER: ClusterView = { workers: [], routers: [] };

/** A job that waits for its turn. */
export function queuedJob(spec: JobSpec, job: JobRecord, cluster: ClusterView = EMPTY_CLUSTER): MachineState {
  return { spec, job, cluster, run: undefined };
}

export interface Moment {
  /** Monotonic. */
  readonly nowMs: number;
  /** ISO 8601, UTC. */
  readonly nowIso: string;
}

export interface StepResult {
  readonly state: MachineState;
  /** In the order in which they must be performed. */
  readonly effects: readonly JobEffect[];
}

export function step(state: MachineState, event: JobEvent, moment: Moment): StepResult {
  if (hasEnded(state.job)) return { state, effects: [] };
  const turn = new Turn(state, moment.nowMs, moment.nowIso);
  // Time alone is no news: it counts with what comes next.
  const isNews = event.kind !== 'tick';
  if (isNews) countServingTime(turn);
  apply(turn, event);
  if (turn.state.run !== undefined) checkLimits(turn);
  if (turn.state.run !== undefined) {
    const problem = advance(turn);
    if (problem !== undefined) fail(turn, problem);
    else {
      tend(turn, isNews);
      // What teacher-workers have to say of their last answers belongs to the job.
      if (isOver(turn) && turn.run.servings.length === 0) conclude(turn);
    }
  }
  if (turn.state.job !== state.job) turn.patchJob({ revision: state.job.revision + 1 });
  return { state: turn.state, effects: turn.effects };
}

/** Whether all phases are done. */
function isOver({ run, state }: Turn): boolean {
  return run.phaseIndex === state.job.phases.length;
}

/** What follows from the teacher-workers that are there. */
function tend(turn: Turn, isNews: boolean): void {
  tellStudents(turn);
  if (isNews) countServingTime(turn);
  releaseServings(turn);
  updateAdvice(turn);
}

function apply(turn: Turn, event: JobEvent): void {
  const { run } = turn.state;
  if (event.kind === 'start') start(turn);
  else if (event.kind === 'cancel') end(turn, 'CANCELLED', 'cancelled');
  else if (event.kind === 'cluster') onCluster(turn, event.cluster);
  else if (run === undefined) return;
  else if ('taskId' in event && isFromStranger(turn, event)) return;
  else if (event.kind === 'worker-lost') onWorkerLost(turn, event.workerId, event.reason);
  else if (event.kind === 'ready') onReady(turn, event);
  else if (event.kind === 'progress') onProgress(turn, event);
  else if (event.kind === 'done') onDone(turn, event.workerId, event.taskId, event.result);
  else if (event.kind === 'failed') onFailed(turn, event);
  else if (event.kind === 'published' && run.stage.kind === 'publishing') {
    turn.patchRun({ stage: { kind: 'routing', sinceMs: turn.nowMs }, routeRevision: event.routeRevision });
  } else if (event.kind === 'publish-failed' && run.stage.kind === 'publishing') {
    fail(turn, `publishing failed: ${event.message}`);
  }
}

/** Whether a worker speaks about a task that another worker has; nothing of what it says counts then. */
function isFromStranger(turn: Turn, event: Extract<JobEvent, { taskId: string }>): boolean {
  const { kind, workerId, taskId } = event;
  const owner = [...turn.run.tasks, ...turn.run.servings].find((one) => one.taskId === taskId);
  if (owner === undefined || owner.workerId === workerId) return false;
  const message = `the message "${kind}" is about task ${taskId} of worker ${owner.workerId} and is ignored`;
  turn.effects.push({ kind: 'warn', workerId, message });
  return true;
}

function start(turn: Turn): void {
  if (turn.state.run !== undefined) return;
  turn.patchJob({ state: 'RUNNING' });
  turn.save();
  turn.state = {
    ...turn.state,
    run: {
      startedMs: turn.nowMs,
      phaseIndex: 0,
      phaseStartedMs: turn.nowMs,
      stage: { kind: 'gathering', sinceMs: turn.nowMs },
      restarts: 0,
      tasks: [],
      servings: [],
      offered: '',
      releaseMs: undefined,
      teacherEngine: undefined,
      leftOut: {},
      retries: {},
      servedFrom: {},
      counted: {},
      sharesPhase: undefined,
      countedMs: undefined,
      advice: NO_ADVICE,
      models: {},
      labelsDigest: '',
      students: [],
      controls: [],
      viewNumber: 0,
      tasksStarted: 0,
      route: undefined,
      routeRevision: 0,
      suspicion: undefined,
    },
  };
}

function checkLimits(turn: Turn): void {
  const { suspicion, startedMs } = turn.run;
  const { deadlineMinutes } = turn.spec.limits;
  if (suspicion !== undefined && turn.nowMs - suspicion.sinceMs >= SUSPICION_MS) {
    fail(turn, suspicion.message);
  } else if (!isOver(turn) && deadlineMinutes !== undefined && turn.nowMs - startedMs > deadlineMinutes * 60_000) {
    const title = turn.run.stage.kind === 'gathering' ? turn.state.job.message : phaseTitle(turn.phase);
    fail(
      turn,
      `the job's limit of ${deadlineMinutes} minutes (limits.deadlineMinutes) has passed; it was at: ${title}`,
    );
  }
}

function onCluster(turn: Turn, cluster: ClusterView): void {
  turn.state = { ...turn.state, cluster };
  const { run } = turn.state;
  if (run === undefined) return;
  const there = new Set(cluster.workers.map(({ id }) => id));
  const known = [...run.tasks, ...run.servings].map(({ workerId }) => workerId);
  for (const workerId of [...known, ...Object.keys(run.leftOut)]) {
    if (!there.has(workerId) && turn.state.run !== undefined) onWorkerLost(turn, workerId, 'it is no longer attached');
  }
  if (turn.state.run === undefined) return;
  markLeaving(turn);
  restartWithoutDraining(turn);
}

function onWorkerLost(turn: Turn, workerId: string, reason: string): void {
  // The news of who is left comes after this, and nothing may be started on it until then.
  turn.state = { ...turn.state, cluster: withoutWorker(turn.cluster, workerId) };
  forgetWorker(turn, workerId);
  if (!turn.run.tasks.some((task) => task.workerId === workerId)) return;
  const problem = restartAfterLoss(turn, workerId, reason);
  if (problem !== undefined) fail(turn, problem);
}

function onReady(turn: Turn, event: Extract<JobEvent, { kind: 'ready' }>): void {
  const { run } = turn;
  const { taskId, parameters, stepsTotal, notice } = event;
  if (run.tasks.some((task) => task.taskId === taskId)) turn.note(notice);
  onServingReady(turn, taskId);
  turn.patchRun({
    tasks: run.tasks.map((task) =>
      task.taskId === taskId ? { ...task, isReady: true, parameters, stepsTotal } : task,
    ),
  });
  const problem = beginIfReady(turn);
  if (problem !== undefined) fail(turn, problem);
}

function onProgress(turn: Turn, { workerId, taskId, progress }: Extract<JobEvent, { kind: 'progress' }>): void {
  const { run } = turn;
  recordShares(turn, workerId, taskId, progress.teachers);
  if (!run.tasks.some((task) => task.taskId === taskId)) return;
  turn.note(progress.notice);
  if (run.stage.kind !== 'running') return;
  recordProgress(turn, workerId, progress, run.stage.begunMs);
}

function onDone(turn: Turn, workerId: string, taskId: string, result: TaskResult): void {
  const { run } = turn;
  const serving = run.servings.find((one) => one.taskId === taskId);
  if (serving !== undefined) {
    if (result.last !== undefined) recordShares(turn, workerId, taskId, result.last.teachers);
    // What a worker that drains does at its end, another one may be asked to do again.
    onServingFailed(turn, workerId, 'UNAVAILABLE', 'stopped serving');
    return;
  }
  if (!run.tasks.some((task) => task.taskId === taskId)) return;
  if (run.stage.kind !== 'running') {
    fail(turn, `${phaseTitle(turn.phase)}: worker ${workerId} ended before it could begin`);
    return;
  }
  if (result.last !== undefined) recordProgress(turn, workerId, result.last, run.stage.begunMs);
  const tasks = run.tasks.map((task): TaskRun => (task.taskId === taskId ? { ...task, result } : task));
  turn.patchRun({ tasks });
  if (tasks.some((task) => task.result === undefined)) return;
  const problem = completePhase(turn);
  if (problem !== undefined) fail(turn, `${phaseTitle(turn.phase)}: ${problem}`);
}

function onFailed(turn: Turn, event: Extract<JobEvent, { kind: 'failed' }>): void {
  const { run } = turn;
  const { taskId, workerId, field } = event;
  const reason = `failed: ${field === '' ? '' : `${field}: `}${event.message}`;
  if (run.servings.some((one) => one.taskId === taskId)) {
    const problem = onServingFailed(turn, workerId, event.code, reason);
    if (problem !== undefined) fail(turn, problem);
    return;
  }
  if (!run.tasks.some((task) => task.taskId === taskId)) return;
  const message = `${phaseTitle(turn.phase)}: worker ${workerId} ${reason}`;
  if (event.code !== 'UNAVAILABLE') fail(turn, message);
  else if (run.suspicion === undefined) turn.patchRun({ suspicion: { message, sinceMs: turn.nowMs } });
}

/** All phases are done, whatever they reached: what is published stays. */
function conclude(turn: Turn): void {
  const missed = missedFloors(turn.spec, turn.state.job);
  if (missed.length === 0) end(turn, 'SUCCEEDED', '');
  else fail(turn, `test accuracy below evaluate.floors: ${missed.join('; ')}`);
}

function fail(turn: Turn, message: string): void {
  end(turn, 'FAILED', message);
}

function end(turn: Turn, state: JobStateName, message: string): void {
  const { run } = turn.state;
  if (run !== undefined) {
    turn.cancelTasks([...run.tasks.filter(({ result }) => result === undefined), ...run.servings]);
    if (run.phaseIndex < turn.state.job.phases.length && turn.phase.state === 'RUNNING') {
      turn.patchPhase({ seconds: (turn.nowMs - run.phaseStartedMs) / 1000 });
    }
  }
  turn.state = { ...turn.state, run: undefined, job: endedJob(turn.state.job, state, message, turn.nowIso) };
  turn.save();
}
