/**
 * The life of one job, as a pure function: `step(state, event)` answers the next state and what the shell has to do.
 *
 *     QUEUED → RUNNING → SUCCEEDED, or FAILED with the reason, or CANCELLED
 *
 * While it runs, the phases of `job-plan.ts` follow each other; `job-turn.ts` draws the stages of a phase. The loss or
 * failure of any worker of the current phase fails the job, and so does a floor of `evaluate.floors` that was missed.
 */
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { missedFloors } from './floors.ts';
import type { ClusterView, JobEffect, JobEvent, TaskResult } from './job-events.ts';
import { advance, beginIfReady, completePhase } from './job-phases.ts';
import { endedJob, hasEnded, type JobRecord, type JobStateName } from './job-record.ts';
import { type MachineState, type TaskRun, Turn } from './job-turn.ts';
import { phaseTitle } from './phase-life.ts';
import { recordProgress } from './phase-progress.ts';

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
  apply(turn, event);
  if (turn.state.run !== undefined) checkLimits(turn);
  if (turn.state.run !== undefined) {
    const problem = advance(turn);
    if (problem !== undefined) fail(turn, problem);
    else if (turn.run.phaseIndex === turn.state.job.phases.length) conclude(turn);
  }
  if (turn.state.job !== state.job) turn.patchJob({ revision: state.job.revision + 1 });
  return { state: turn.state, effects: turn.effects };
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
      tasks: [],
      servings: [],
      teacherDigest: '',
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
  } else if (deadlineMinutes !== undefined && turn.nowMs - startedMs > deadlineMinutes * 60_000) {
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
  for (const { workerId } of [...run.tasks, ...run.servings]) {
    if (!there.has(workerId) && turn.state.run !== undefined) onWorkerLost(turn, workerId, 'it is no longer attached');
  }
}

function onWorkerLost(turn: Turn, workerId: string, reason: string): void {
  const { run } = turn;
  const isMember = run.tasks.some((task) => task.workerId === workerId);
  const isTeacher = run.servings.some((serving) => serving.workerId === workerId);
  if (isMember || (isTeacher && turn.phase.kind === 'DISTIL')) {
    fail(turn, `${phaseTitle(turn.phase)}: worker ${workerId} was lost: ${reason}`);
  } else if (isTeacher) {
    // Nobody asks it now; the next student to be distilled has another one loaded.
    turn.patchRun({ servings: run.servings.filter((serving) => serving.workerId !== workerId) });
  }
}

function onReady(turn: Turn, event: Extract<JobEvent, { kind: 'ready' }>): void {
  const { run } = turn;
  const { taskId, parameters, stepsTotal, notice } = event;
  if (notice !== '' && run.tasks.some((task) => task.taskId === taskId)) turn.patchPhase({ notice });
  turn.patchRun({
    servings: run.servings.map((serving) => (serving.taskId === taskId ? { ...serving, isReady: true } : serving)),
    tasks: run.tasks.map((task) =>
      task.taskId === taskId ? { ...task, isReady: true, parameters, stepsTotal } : task,
    ),
  });
  const problem = beginIfReady(turn);
  if (problem !== undefined) fail(turn, problem);
}

function onProgress(turn: Turn, { workerId, taskId, progress }: Extract<JobEvent, { kind: 'progress' }>): void {
  const { run } = turn;
  if (run.stage.kind !== 'running' || !run.tasks.some((task) => task.taskId === taskId)) return;
  recordProgress(turn, workerId, progress, run.stage.begunMs);
}

function onDone(turn: Turn, workerId: string, taskId: string, result: TaskResult): void {
  const { run } = turn;
  if (run.servings.some((serving) => serving.taskId === taskId)) {
    onWorkerLost(turn, workerId, 'it stopped serving the teacher');
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
  if (!run.tasks.some((task) => task.taskId === taskId) && !run.servings.some((one) => one.taskId === taskId)) return;
  const at = field === '' ? '' : `${field}: `;
  const message = `${phaseTitle(turn.phase)}: worker ${workerId} failed: ${at}${event.message}`;
  if (event.code !== 'UNAVAILABLE') fail(turn, message);
  else if (run.suspicion === undefined) turn.patchRun({ suspicion: { message, sinceMs: turn.nowMs } });
}

/** All phases are done, whatever they reached: what is published stays. */
function conclude(turn: Turn): void {
  const missed = missedFloors(turn.spec, turn.state.job.phases);
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
