/** The phases of a running job: what each waits for, starts, and makes of the results. Pure; part of the machine. */
import type { TaskRun, Turn } from './job-turn.ts';
import { phaseTitle, READY_LIMIT_MS } from './phase-life.ts';
import {
  awaitRouter,
  completeChoice,
  completeEvaluation,
  missingRouter,
  startEvaluation,
  startPublication,
} from './route-phases.ts';
import {
  endpoints,
  mayBeginWithout,
  noteLeftOut,
  servingState,
  superviseServings,
  taughtModels,
  teacherWorkers,
} from './servings.ts';
import {
  completeLabelling,
  completeTeacherEvaluation,
  startLabelling,
  startTeacherEvaluation,
} from './teacher-phases.ts';
import { completeTraining, startDistillation, startStudentTraining, startTeacherTraining } from './training-phases.ts';
import { chooseAlike, describeMissing, needsOfJob, needsOfPhase, workersOf } from './worker-choice.ts';

/** Moves on as far as what is known allows. Answers why the job has to fail, if it has to. */
export function advance(turn: Turn): string | undefined {
  const { stage, phaseIndex } = turn.run;
  if (phaseIndex >= turn.state.job.phases.length) return undefined;
  if (stage.kind === 'gathering') return gather(turn, stage.sinceMs);
  if (stage.kind === 'serving-teacher') return awaitServing(turn, stage.sinceMs);
  if (stage.kind === 'loading') return awaitReady(turn, stage.sinceMs);
  if (stage.kind === 'running') return superviseServings(turn);
  if (stage.kind === 'routing') {
    const problem = awaitRouter(turn, stage.sinceMs);
    const hasMoved = turn.run.phaseIndex !== phaseIndex;
    return hasMoved ? advance(turn) : problem;
  }
  return undefined;
}

/** Begins with the student once it has a teacher. Answers why the job has to fail, if it has to. */
function awaitServing(turn: Turn, sinceMs: number): string | undefined {
  const problem = superviseServings(turn);
  if (problem !== undefined) return problem;
  const state = servingState(turn, sinceMs);
  if (typeof state === 'object') return state.problem;
  if (state === 'yes') startStudentTraining(turn);
  if (state !== 'gone') return undefined;
  turn.patchRun({ stage: { kind: 'gathering', sinceMs: turn.nowMs } });
  return gather(turn, turn.nowMs);
}

/** Answers why the job has to fail, if it has to. A student that has no teacher may load for as long as it wants to wait for one. */
function awaitReady(turn: Turn, sinceMs: number): string | undefined {
  const problem = superviseServings(turn);
  if (problem !== undefined) return problem;
  const lacksTeacher = taughtModels(turn).length > 0 && endpoints(turn).length === 0;
  if (lacksTeacher) turn.patchRun({ stage: { kind: 'loading', sinceMs: turn.nowMs } });
  return findLate(turn, lacksTeacher ? turn.nowMs : sinceMs);
}

/** Why the job has to fail when workers have had enough time and are not ready. */
function findLate(turn: Turn, sinceMs: number): string | undefined {
  if (turn.nowMs - sinceMs <= READY_LIMIT_MS) return undefined;
  const late = turn.run.tasks.filter(({ isReady }) => !isReady).map(({ workerId }) => workerId);
  const who = late.length === 1 ? `worker ${late[0]} was` : `workers ${late.join(', ')} were`;
  return `${phaseTitle(turn.phase)}: ${who} not ready within ${READY_LIMIT_MS / 1000} seconds; see ${late.length === 1 ? 'its log' : 'their logs'}`;
}

function gather(turn: Turn, sinceMs: number): string | undefined {
  const missing = findMissing(turn, sinceMs);
  if (missing !== undefined) {
    const limitSeconds = turn.spec.limits.workerWaitSeconds;
    if (turn.nowMs - sinceMs > limitSeconds * 1000) {
      return `${phaseTitle(turn.phase)}: after ${limitSeconds} seconds (limits.workerWaitSeconds) it still ${missing}`;
    }
    noteLeftOut(turn);
    turn.say(missing);
    return undefined;
  }
  if (turn.run.restarts === 0) turn.patchRun({ phaseStartedMs: turn.nowMs });
  turn.patchPhase({ state: 'RUNNING' });
  turn.save();
  turn.say(phaseTitle(turn.phase));
  return startPhase(turn, sinceMs);
}

function findMissing(turn: Turn, sinceMs: number): string | undefined {
  const { spec, phase, run, state, cluster } = turn;
  const isFirst = run.phaseIndex === 0 && run.restarts === 0;
  const needs = isFirst ? needsOfJob(spec, state.job.scope) : needsOfPhase(spec, phase);
  const teachers = mayBeginWithout(turn, sinceMs) ? 0 : needs.teachers;
  return describeMissing({ ...needs, teachers }, cluster, teacherWorkers(turn)) ?? missingRouter(turn);
}

/** All teacher-workers of a reproducible job are alike: what students learn must not depend on which of them answers. */
function chooseTeacherEngine(turn: Turn): void {
  if (!turn.spec.averaging.reproducible || turn.run.teacherEngine !== undefined) return;
  const [first] = chooseAlike(workersOf(turn.cluster, 'teacher'), 1);
  turn.patchRun({ teacherEngine: first?.fingerprint });
}

function startPhase(turn: Turn, sinceMs: number): string | undefined {
  chooseTeacherEngine(turn);
  switch (turn.phase.kind) {
    case 'TRAIN_TEACHER':
      startTeacherTraining(turn);
      return undefined;
    case 'EVALUATE_TEACHER':
      startTeacherEvaluation(turn);
      return undefined;
    case 'LABEL':
      startLabelling(turn);
      return undefined;
    case 'DISTIL':
      return startDistillation(turn, sinceMs);
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
  if (turn.phase.kind === 'DISTIL') turn.patchRun({ sharesPhase: turn.run.phaseIndex, countedMs: turn.nowMs });
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
    case 'EVALUATE_TEACHER':
      return completeTeacherEvaluation(turn);
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
