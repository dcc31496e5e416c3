/**
 * Teacher-workers that answer students while a student is distilled: all that are there serve all that the student learns from. They
 * may come and go: the students are told who serves them. Pure; part of the machine.
 */
import type { ErrorCode } from '../../lib/base/errors.ts';
import { storesLogits, taughtBy } from '../../lib/wire/teaching.ts';
import type { ClusterWorker, TaughtModel, TeacherEndpoint } from './job-events.ts';
import type { Serving, Turn } from './job-turn.ts';
import { phaseTitle, READY_LIMIT_MS } from './phase-life.ts';
import { advise } from './teacher-advice.ts';
import { countServing, emptyQueues } from './teacher-shares.ts';
import { workersOf } from './worker-choice.ts';

/** What may pass: a worker that could not load a teacher because of it tries again. */
const TRANSIENT: ReadonlySet<ErrorCode> = new Set([
  'UNAVAILABLE',
  'DEADLINE_EXCEEDED',
  'RESOURCE_EXHAUSTED',
  'ABORTED',
]);
/** After the first failure; the pause doubles from failure to failure, up to the other one. */
const RETRY_MS = 2_000;
const RETRY_MAX_MS = 30_000;
/** What teacher-workers have to say of their last answers reaches the coordinator within this time. */
const LAST_WORDS_MS = 1_000;
/** A student that can learn from stored logits waits so long for a teacher-worker before it begins. */
const BEGIN_WITHOUT_MS = 5_000;

/** Whom the student of the phase learns from; nobody in other phases, and where its loss looks at no teacher. */
export function taughtModels({ state, spec, run }: Turn): TaughtModel[] {
  const phase = state.job.phases[run.phaseIndex];
  const student = spec.students.find(({ name }) => name === phase?.subject);
  if (phase?.kind !== 'DISTIL' || student === undefined) return [];
  return taughtBy(spec, student).map((teacher) => ({ teacher, modelDigest: run.models[teacher] ?? '' }));
}

/** Teacher-workers that can have tasks of the job. */
export function teacherWorkers({ cluster, run }: Turn): ClusterWorker[] {
  const { leftOut, teacherEngine } = run;
  return workersOf(cluster, 'teacher').filter(
    ({ id, fingerprint }) => leftOut[id] === undefined && (teacherEngine ?? fingerprint) === fingerprint,
  );
}

/** Where students get logits now. */
export function endpoints(turn: Turn): TeacherEndpoint[] {
  const models = taughtModels(turn);
  return turn.run.servings
    .filter((serving) => serving.isReady && !serving.isLeaving && serves(serving, models))
    .flatMap(({ workerId, address }) => models.map((model) => ({ workerId, address, ...model })));
}

function serves({ teachers }: Serving, models: readonly TaughtModel[]): boolean {
  return models.every(({ teacher, modelDigest }) =>
    teachers.some((one) => one.teacher === teacher && one.modelDigest === modelDigest),
  );
}

/** Has every teacher-worker serve what the phase's student learns from. Answers why the job has to fail, if it has to. */
export function superviseServings(turn: Turn): string | undefined {
  const models = taughtModels(turn);
  if (models.length === 0) return undefined;
  for (const serving of turn.run.servings) {
    if (serving.isReady || turn.nowMs - serving.sinceMs <= READY_LIMIT_MS) continue;
    turn.cancelTasks([serving]);
    const problem = leaveOut(
      turn,
      serving.workerId,
      `was not ready within ${READY_LIMIT_MS / 1000} seconds; see its log`,
    );
    if (problem !== undefined) return problem;
  }
  for (const { id, address } of teacherWorkers(turn)) {
    const { servings, retries, servedFrom, phaseIndex } = turn.run;
    const current = servings.find(({ workerId }) => workerId === id);
    if ((current !== undefined && serves(current, models)) || turn.nowMs < (retries[id]?.atMs ?? 0)) continue;
    const taskId = turn.startTask(id, { kind: 'serve-teacher', teachers: models });
    const state = { isReady: false, isLeaving: false, sinceMs: turn.nowMs };
    const serving: Serving = { taskId, workerId: id, address, teachers: models, ...state };
    const others = servings.filter((one) => one !== current);
    turn.patchRun({
      servings: [...others, serving].sort((one, other) => (one.workerId < other.workerId ? -1 : 1)),
      servedFrom: { ...servedFrom, [taskId]: phaseIndex },
    });
  }
  return undefined;
}

/** Marks teacher-workers that drain, so that students are sent elsewhere. */
export function markLeaving(turn: Turn): void {
  const draining = new Set(turn.cluster.workers.filter(({ isDraining }) => isDraining).map(({ id }) => id));
  if (!turn.run.servings.some(({ workerId, isLeaving }) => !isLeaving && draining.has(workerId))) return;
  const servings = turn.run.servings.map((one) => (draining.has(one.workerId) ? { ...one, isLeaving: true } : one));
  turn.patchRun({ servings });
}

/** A worker that has gone serves nothing; one that comes back starts afresh. */
export function forgetWorker(turn: Turn, workerId: string): void {
  const { servings, leftOut, retries } = turn.run;
  const { [workerId]: _reason, ...stillOut } = leftOut;
  const { [workerId]: _retry, ...stillRetried } = retries;
  emptyQueues(turn, workerId);
  turn.patchRun({
    servings: servings.filter((serving) => serving.workerId !== workerId),
    leftOut: stillOut,
    retries: stillRetried,
  });
}

/** A worker answers students from now on. */
export function onServingReady(turn: Turn, taskId: string): void {
  const serving = turn.run.servings.find((one) => one.taskId === taskId);
  if (serving === undefined) return;
  const { [serving.workerId]: _retry, ...retries } = turn.run.retries;
  const servings = turn.run.servings.map((one) => (one === serving ? { ...one, isReady: true } : one));
  turn.patchRun({ servings, retries });
}

/** A worker could not serve, or has stopped. Answers why the job has to fail, if it has to. */
export function onServingFailed(turn: Turn, workerId: string, code: ErrorCode, reason: string): string | undefined {
  if (!TRANSIENT.has(code)) return leaveOut(turn, workerId, reason);
  const { retries } = turn.run;
  const before = retries[workerId]?.failures ?? 0;
  forgetWorker(turn, workerId);
  const atMs = turn.nowMs + Math.min(RETRY_MS * 2 ** before, RETRY_MAX_MS);
  turn.patchRun({ retries: { ...retries, [workerId]: { failures: before + 1, atMs, reason } } });
  return undefined;
}

function leaveOut(turn: Turn, workerId: string, reason: string): string | undefined {
  forgetWorker(turn, workerId);
  turn.patchRun({ leftOut: { ...turn.run.leftOut, [workerId]: reason } });
  noteLeftOut(turn);
  // Students that have been started decide for themselves what to do without teachers; others may do with what is stored.
  if (turn.run.stage.kind !== 'serving-teacher' || canDoWithout(turn)) return undefined;
  const others = turn.run.servings.some(({ isLeaving }) => !isLeaving) || teacherWorkers(turn).length > 0;
  if (others) return undefined;
  return `${phaseTitle(turn.phase)}: no teacher-worker can serve: ${describe(turn.run.leftOut)}`;
}

/** Says in the phase's notice which teacher-workers it does without. */
export function noteLeftOut(turn: Turn): void {
  if (taughtModels(turn).length === 0) return;
  for (const [workerId, reason] of Object.entries(turn.run.leftOut))
    turn.note(`without worker ${workerId}: it ${reason}`);
}

function describe(reasons: Readonly<Record<string, string>>): string {
  return Object.entries(reasons)
    .map(([workerId, reason]) => `worker ${workerId} ${reason}`)
    .join('; ');
}

/** Whether a student may begin without a teacher-worker, having waited for one since then: what is stored may do. */
export function mayBeginWithout(turn: Turn, sinceMs: number): boolean {
  return canDoWithout(turn) && turn.nowMs - sinceMs >= BEGIN_WITHOUT_MS;
}

/** Whether the job lets its students learn from stored logits alone. */
function canDoWithout(turn: Turn): boolean {
  const models = taughtModels(turn);
  if (models.length === 0 || turn.spec.distill.withoutTeachers !== 'continue') return false;
  return models.every(({ teacher }) => storesLogits(turn.spec, teacher));
}

/**
 * Whether students can begin: `yes` as soon as one teacher-worker is ready, `no` while any may become so. Otherwise why the job has to
 * fail; `gone` when there are none any more.
 */
export function servingState(turn: Turn, sinceMs: number): 'yes' | 'no' | 'gone' | { readonly problem: string } {
  if (endpoints(turn).length > 0) return 'yes';
  if (turn.run.servings.some(({ isLeaving }) => !isLeaving)) return 'no';
  if (mayBeginWithout(turn, sinceMs)) return 'yes';
  if (teacherWorkers(turn).length === 0) return 'gone';
  if (turn.nowMs - sinceMs <= READY_LIMIT_MS) return 'no';
  const reasons = Object.fromEntries(Object.entries(turn.run.retries).map(([id, { reason }]) => [id, reason]));
  const limit = `within ${READY_LIMIT_MS / 1000} seconds`;
  return { problem: `${phaseTitle(turn.phase)}: no teacher-worker could serve ${limit}: ${describe(reasons)}` };
}

/** Tells the students of the phase who serves them, if that has changed. */
export function tellStudents(turn: Turn): void {
  const { stage, tasks, offered } = turn.run;
  const isAtIt = stage.kind === 'loading' || stage.kind === 'running';
  if (!isAtIt || taughtModels(turn).length === 0) return;
  const teachers = endpoints(turn);
  const text = JSON.stringify(teachers);
  if (text === offered) return;
  turn.patchRun({ offered: text });
  for (const { workerId, taskId, result } of tasks) {
    if (result === undefined) turn.effects.push({ kind: 'update-teachers', workerId, taskId, teachers });
  }
}

/** While students train, counts the time of those that could answer them until now. */
export function countServingTime(turn: Turn): void {
  const { run } = turn.state;
  if (run?.stage.kind === 'running' && turn.phase.kind === 'DISTIL') countServing(turn, endpoints(turn));
}

/** Ends servings that no student will need, after their last words. */
export function releaseServings(turn: Turn): void {
  const { servings, phaseIndex, releaseMs } = turn.run;
  const isNeeded = turn.state.job.phases.slice(phaseIndex).some(({ kind }) => kind === 'DISTIL');
  if (isNeeded || servings.length === 0) return;
  if (releaseMs === undefined) {
    turn.patchRun({ releaseMs: turn.nowMs + LAST_WORDS_MS });
  } else if (turn.nowMs >= releaseMs) {
    turn.cancelTasks(servings);
    for (const { workerId } of servings) forgetWorker(turn, workerId);
  }
}

/** Finds out what users could do about students that wait for logits, and says it. */
export function updateAdvice(turn: Turn): void {
  const { stage, advice } = turn.run;
  if (stage.kind !== 'running' || taughtModels(turn).length === 0) return;
  const { workers, teachers } = turn.phase;
  const answered = teachers.reduce((sum, one) => sum + one.samplesServed + one.samplesRepeated, 0);
  const next = advise(advice, {
    nowMs: turn.nowMs,
    teachers: new Set(endpoints(turn).map(({ workerId }) => workerId)).size,
    waitMs: workers.map(({ teacherWaitMs }) => teacherWaitMs),
    computeMs: teachers.reduce((sum, { computeMs }) => sum + computeMs, 0),
    batchesAnswered: answered / turn.spec.train.microBatch,
    samples: workers.reduce((sum, { samplesCommitted }) => sum + samplesCommitted, 0),
  });
  if (next === advice) return;
  turn.patchRun({ advice: next });
  if (next.shown === advice.shown) return;
  turn.patchPhase({ advice: next.shown?.advice ?? '', teachersWanted: next.shown?.wanted ?? 0 });
}
