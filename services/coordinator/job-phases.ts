/** The phases of a running job: what each waits for, starts, and makes of the results. Pure; part of the machine. */
import type { Serving, TaskRun, Turn } from './job-turn.ts';
import { phaseTitle } from './phase-life.ts';
import {
  awaitRouter,
  completeChoice,
  completeEvaluation,
  missingRouter,
  startEvaluation,
  startPublication,
} from './route-phases.ts';
import {
  completeLabelling,
  completeTraining,
  startDistillation,
  startLabelling,
  startStudentTraining,
  startTeacherTraining,
} from './training-phases.ts';
import { describeMissing, needsOfJob, needsOfPhase } from './worker-choice.ts';

/** Time for all workers of a phase to load what they need, and for teachers to load their model. */
const READY_LIMIT_MS = 120_000;

/** Moves on as far as what is known allows. Answers why the job has to fail, if it has to. */
export function advance(turn: Turn): string | undefined {
  const { stage, phaseIndex } = turn.run;
  if (phaseIndex >= turn.state.job.phases.length) return undefined;
  if (stage.kind === 'gathering') return gather(turn, stage.sinceMs);
  if (stage.kind === 'serving-teacher') {
    if (!turn.run.servings.every(({ isReady }) => isReady)) return findLate(turn, turn.run.servings, stage.sinceMs);
    startStudentTraining(turn);
    return undefined;
  }
  if (stage.kind === 'loading') return findLate(turn, turn.run.tasks, stage.sinceMs);
  if (stage.kind === 'routing') {
    const problem = awaitRouter(turn, stage.sinceMs);
    const hasMoved = turn.run.phaseIndex !== phaseIndex;
    return hasMoved ? advance(turn) : problem;
  }
  return undefined;
}

/** Why the job has to fail when workers have had enough time and are not ready. */
function findLate(turn: Turn, parts: readonly (TaskRun | Serving)[], sinceMs: number): string | undefined {
  if (turn.nowMs - sinceMs <= READY_LIMIT_MS) return undefined;
  const late = parts.filter(({ isReady }) => !isReady).map(({ workerId }) => workerId);
  const who = late.length === 1 ? `worker ${late[0]} was` : `workers ${late.join(', ')} were`;
  return `${phaseTitle(turn.phase)}: ${who} not ready within ${READY_LIMIT_MS / 1000} seconds; see ${late.length === 1 ? 'its log' : 'their logs'}`;
}

function gather(turn: Turn, sinceMs: number): string | undefined {
  const needs = turn.run.phaseIndex === 0 ? needsOfJob(turn.spec) : needsOfPhase(turn.spec, turn.phase.kind);
  const missing = describeMissing(needs, turn.cluster) ?? missingRouter(turn);
  if (missing !== undefined) {
    const limitSeconds = turn.spec.limits.workerWaitSeconds;
    if (turn.nowMs - sinceMs > limitSeconds * 1000) {
      return `${phaseTitle(turn.phase)}: after ${limitSeconds} seconds (limits.workerWaitSeconds) it still ${missing}`;
    }
    turn.say(missing);
    return undefined;
  }
  turn.patchRun({ phaseStartedMs: turn.nowMs });
  turn.patchPhase({ state: 'RUNNING' });
  turn.save();
  turn.say(phaseTitle(turn.phase));
  return startPhase(turn);
}

function startPhase(turn: Turn): string | undefined {
  switch (turn.phase.kind) {
    case 'TRAIN_TEACHER':
      startTeacherTraining(turn);
      return undefined;
    case 'LABEL':
      startLabelling(turn);
      return undefined;
    case 'DISTIL':
      startDistillation(turn);
      return undefined;
    case 'CONTROL':
      startStudentTraining(turn);
      return undefined;
    case 'PUBLISH':
      return startPublication(turn);
    case 'CHOOSE_RULE':
    case 'EVALUATE_ROUTE':
      startEvaluation(turn);
      return undefined;
  }
}

/** Begins the tasks of the phase once all workers are ready. Answers why the job has to fail, if it has to. */
export function beginIfReady(turn: Turn): string | undefined {
  const { tasks, stage } = turn.run;
  const first = tasks[0];
  if (stage.kind !== 'loading' || first === undefined || !tasks.every(({ isReady }) => isReady)) return undefined;
  const differs = (task: TaskRun) => task.stepsTotal !== first.stepsTotal || task.parameters !== first.parameters;
  if (tasks.some(differs)) {
    const list = tasks.map(({ workerId, parameters, stepsTotal }) => `${workerId}: ${parameters}, ${stepsTotal}`);
    return `${phaseTitle(turn.phase)}: workers disagree on the model's parameters and the number of steps (${list.join('; ')})`;
  }
  for (const { workerId, taskId } of tasks) turn.effects.push({ kind: 'begin-task', workerId, taskId });
  turn.patchRun({ stage: { kind: 'running', begunMs: turn.nowMs } });
  turn.patchPhase({ stepsTotal: first.stepsTotal, parameters: first.parameters });
  turn.save();
  return undefined;
}

/** Takes the results of all tasks of the phase in. Answers why they cannot be accepted, if they cannot. */
export function completePhase(turn: Turn): string | undefined {
  switch (turn.phase.kind) {
    case 'TRAIN_TEACHER':
    case 'DISTIL':
    case 'CONTROL':
      return completeTraining(turn);
    case 'LABEL':
      return completeLabelling(turn);
    case 'CHOOSE_RULE':
      return completeChoice(turn);
    case 'EVALUATE_ROUTE':
      return completeEvaluation(turn);
    case 'PUBLISH':
      return 'a publication has no tasks';
  }
}
