/** The phases of a running job: what each needs, starts, and makes of the results. Pure; part of the machine. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { dealLanes } from '../../lib/data/lanes.ts';
import { parseModelManifest } from '../../lib/model/model-manifest.ts';
import type { RouteRecord } from '../../lib/wire/records.ts';
import type { ClusterRouter, ClusterWorker, PublishedModel, TaskCommand } from './job-events.ts';
import { usesTeacher } from './job-plan.ts';
import type { PhaseName, PhaseRecord } from './job-record.ts';
import type { Serving, TaskRun, Turn } from './job-turn.ts';
import { type FinishedTask, findDisagreement, storedResult } from './training-result.ts';
import { chooseAlike, chooseStudents, describeMissing, type Needs, needsOfJob, workersOf } from './worker-choice.ts';

/** Time for a router to take a written route over. */
const ROUTE_LIMIT_MS = 60_000;
/** Time for all workers of a phase to load what they need, and for teachers to load their model. */
const READY_LIMIT_MS = 120_000;

const TITLES: Readonly<Record<PhaseName, string>> = {
  TRAIN_TEACHER: 'training of teacher',
  DISTIL: 'distillation of student',
  CONTROL: 'control arm of student',
  PUBLISH: 'publication of route',
  EVALUATE_ROUTE: 'evaluation of route',
};

/** What a phase is called in messages, e.g. `distillation of student animals`. */
export function phaseTitle({ kind, subject }: PhaseRecord): string {
  return `${TITLES[kind]} ${subject}`;
}

/** Moves on as far as what is known allows. Answers why the job has to fail, if it has to. */
export function advance(turn: Turn): string | undefined {
  const { stage, phaseIndex } = turn.run;
  if (phaseIndex >= turn.state.job.phases.length) return undefined;
  if (stage.kind === 'gathering') return gather(turn, stage.sinceMs);
  if (stage.kind === 'serving-teacher') {
    if (!turn.run.servings.every(({ isReady }) => isReady)) return findLate(turn, turn.run.servings, stage.sinceMs);
    startTraining(turn);
    return undefined;
  }
  if (stage.kind === 'loading') return findLate(turn, turn.run.tasks, stage.sinceMs);
  if (stage.kind === 'routing') return awaitRouter(turn, stage.sinceMs);
  return undefined;
}

/** Why the job has to fail when workers have had enough time and are not ready. */
function findLate(turn: Turn, parts: readonly (TaskRun | Serving)[], sinceMs: number): string | undefined {
  if (turn.nowMs - sinceMs <= READY_LIMIT_MS) return undefined;
  const late = parts.filter(({ isReady }) => !isReady).map(({ workerId }) => workerId);
  const who = late.length === 1 ? `worker ${late[0]} was` : `workers ${late.join(', ')} were`;
  return `${phaseTitle(turn.phase)}: ${who} not ready within ${READY_LIMIT_MS / 1000} seconds; see ${late.length === 1 ? 'its log' : 'their logs'}`;
}

/** Makes the phase at this index the current one, or the job's end when there is none. */
export function openPhase(turn: Turn, phaseIndex: number): void {
  turn.patchRun({
    phaseIndex,
    phaseStartedMs: turn.nowMs,
    stage: { kind: 'gathering', sinceMs: turn.nowMs },
    tasks: [],
  });
  const isNeeded = turn.state.job.phases.slice(phaseIndex).some(({ kind }) => kind === 'DISTIL');
  if (!isNeeded) {
    turn.cancelTasks(turn.run.servings);
    turn.patchRun({ servings: [] });
  }
  turn.save();
}

function gather(turn: Turn, sinceMs: number): string | undefined {
  const missing = describeMissing(needsOfPhase(turn), turn.cluster) ?? missingRouter(turn);
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
  switch (turn.phase.kind) {
    case 'TRAIN_TEACHER':
      startMembers(turn, workersOf(turn.cluster, 'teacher').slice(0, 1), {
        kind: 'train-teacher',
        teacher: turn.phase.subject,
      });
      return undefined;
    case 'DISTIL':
      if (usesTeacher(turn.spec) && turn.run.servings.length === 0) serveTeacher(turn);
      else startTraining(turn);
      return undefined;
    case 'CONTROL':
      startTraining(turn);
      return undefined;
    case 'PUBLISH':
      return publish(turn);
    case 'EVALUATE_ROUTE':
      startEvaluation(turn);
      return undefined;
  }
}

function needsOfPhase(turn: Turn): Needs {
  if (turn.run.phaseIndex === 0) return needsOfJob(turn.spec);
  const none: Needs = { teachers: 0, students: 0, specialists: 0, routers: 0 };
  const students = turn.spec.averaging.workers;
  switch (turn.phase.kind) {
    case 'TRAIN_TEACHER':
      return { ...none, teachers: 1 };
    case 'DISTIL':
      return { ...none, students, teachers: usesTeacher(turn.spec) ? 1 : 0 };
    case 'CONTROL':
      return { ...none, students };
    case 'PUBLISH':
      return { ...none, specialists: 1, routers: 1 };
    case 'EVALUATE_ROUTE':
      return { ...none, students: 1, routers: 1 };
  }
}

function serveTeacher(turn: Turn): void {
  const { averaging, teachers } = turn.spec;
  const teacher = teachers[0]?.name ?? '';
  const modelDigest = turn.run.teacherDigest;
  // More teachers than students would have nobody to answer.
  const workers = chooseAlike(workersOf(turn.cluster, 'teacher'), averaging.workers);
  const servings = workers.map(({ id, address }): Serving => {
    const taskId = turn.startTask(id, { kind: 'serve-teacher', teacher, modelDigest });
    return { taskId, workerId: id, address, isReady: false };
  });
  turn.patchRun({ servings, stage: { kind: 'serving-teacher', sinceMs: turn.nowMs } });
}

function startTraining(turn: Turn): void {
  const { spec, phase } = turn;
  const control = phase.kind === 'CONTROL';
  const workers = chooseStudents(turn.cluster, spec.averaging.workers);
  // A student may have gone while the teacher was loading.
  if (workers.length < spec.averaging.workers) {
    turn.patchRun({ stage: { kind: 'gathering', sinceMs: turn.nowMs } });
    return;
  }
  const blocks = dealLanes(spec.train.lanes, workers.length);
  const members = blocks.map((block, at) => ({ workerId: workers[at]?.id ?? '', ...block }));
  const number = turn.run.viewNumber + 1;
  turn.patchRun({ viewNumber: number });
  turn.patchPhase({ workers: members.map((member) => ({ ...EMPTY_SHARE, ...member })) });
  const teachers = control || !usesTeacher(spec) ? [] : turn.run.servings;
  startMembers(turn, workers, {
    kind: 'train-student',
    student: phase.subject,
    control,
    view: { number, members },
    teachers: teachers.map(({ workerId, address }) => ({ workerId, address, modelDigest: turn.run.teacherDigest })),
  });
}

const EMPTY_SHARE = {
  stepsCommitted: 0,
  samplesCommitted: 0,
  gradientBytesSent: 0,
  gradientBytesReceived: 0,
  teacherSamples: 0,
  weightsDigest: '',
  teacherWaitMs: 0,
  averagingWaitMs: 0,
  pid: 0,
};

function startEvaluation(turn: Turn): void {
  const router = routersThatServe(turn)[0];
  startMembers(turn, workersOf(turn.cluster, 'student').slice(0, 1), {
    kind: 'evaluate-route',
    route: turn.spec.publish.route,
    routerAddress: router?.address ?? '',
  });
}

function startMembers(turn: Turn, workers: readonly ClusterWorker[], command: TaskCommand): void {
  if (command.kind === 'train-teacher') {
    const lanes = turn.spec.teachers.find(({ name }) => name === command.teacher)?.train.lanes ?? 0;
    turn.patchPhase({ workers: workers.map(({ id }) => ({ ...EMPTY_SHARE, workerId: id, firstLane: 0, lanes })) });
  }
  const tasks = workers.map(({ id }): TaskRun => {
    const taskId = turn.startTask(id, command);
    return { taskId, workerId: id, isReady: false, parameters: 0, stepsTotal: 0, result: undefined };
  });
  turn.patchRun({ tasks, stage: { kind: 'loading', sinceMs: turn.nowMs } });
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

/** Takes the results of all workers of the phase in. Answers why they cannot be accepted, if they cannot. */
export function completePhase(turn: Turn): string | undefined {
  const { kind, subject } = turn.phase;
  const finished = turn.run.tasks.flatMap(({ workerId, result }): FinishedTask[] =>
    result === undefined ? [] : [{ workerId, result }],
  );
  const seconds = (turn.nowMs - turn.run.phaseStartedMs) / 1000;
  if (kind === 'EVALUATE_ROUTE') {
    const result = finished[0]?.result;
    if (result === undefined || result.evaluatedImages === 0) return 'no image was evaluated';
    const { correct, evaluatedImages } = result;
    turn.patchPhase({ state: 'DONE', seconds, accuracy: correct / evaluatedImages, evaluatedImages });
    return undefined;
  }
  const disagreement = findDisagreement(finished, turn.phase.stepsTotal);
  if (disagreement !== undefined) return disagreement;
  const result = storedResult(finished);
  if (result === undefined) return 'no model was stored';
  const { modelDigest, manifestJson, correct, evaluatedImages } = result;
  const accuracy = evaluatedImages === 0 ? 0 : correct / evaluatedImages;
  turn.patchPhase({ state: 'DONE', seconds, modelDigest, accuracy, evaluatedImages });
  if (kind === 'TRAIN_TEACHER') turn.patchRun({ teacherDigest: modelDigest });
  if (kind === 'DISTIL') {
    const model = { name: `${turn.spec.name}/${subject}`, digest: modelDigest, manifestJson };
    turn.patchRun({ students: [...turn.run.students, model] });
  }
  return undefined;
}

function publish(turn: Turn): string | undefined {
  const { students } = turn.run;
  let route: RouteRecord;
  try {
    route = routeOf(turn, students);
  } catch (error) {
    return `${phaseTitle(turn.phase)}: ${StillhouseError.from(error).message}`;
  }
  turn.patchRun({ stage: { kind: 'publishing' } });
  turn.effects.push({ kind: 'publish', models: students, route });
  return undefined;
}

/** The job's route: one leg per student, in the order of the job file, over all classes of the data set. */
function routeOf(turn: Turn, students: readonly PublishedModel[]): RouteRecord {
  const manifests = students.map(({ name, manifestJson }) =>
    parseModelManifest(new TextEncoder().encode(manifestJson), `the manifest of ${name}`),
  );
  return {
    name: turn.spec.publish.route,
    rule: turn.spec.publish.rule,
    classNames: [...(manifests[0]?.parentClassNames ?? [])],
    legs: manifests.map(({ classIds }, at) => ({
      specialist: turn.spec.students[at]?.name ?? '',
      modelDigest: students[at]?.digest ?? '',
      classIds: [...classIds],
    })),
  };
}

function awaitRouter(turn: Turn, sinceMs: number): string | undefined {
  if (routersThatServe(turn).length > 0) {
    turn.patchPhase({ state: 'DONE', seconds: (turn.nowMs - turn.run.phaseStartedMs) / 1000 });
    openPhase(turn, turn.run.phaseIndex + 1);
    return advance(turn);
  }
  if (turn.nowMs - sinceMs <= ROUTE_LIMIT_MS) return undefined;
  return `${phaseTitle(turn.phase)}: no router took revision ${turn.run.routeRevision} over within ${ROUTE_LIMIT_MS / 1000} seconds; see the logs of specialists and router`;
}

function routersThatServe(turn: Turn): ClusterRouter[] {
  const { route } = turn.spec.publish;
  return turn.cluster.routers.filter(({ routes }) => (routes[route] ?? 0) >= turn.run.routeRevision);
}

function missingRouter(turn: Turn): string | undefined {
  if (turn.phase.kind !== 'EVALUATE_ROUTE' || routersThatServe(turn).length > 0) return undefined;
  return `waits for a router that serves route ${turn.spec.publish.route} at revision ${turn.run.routeRevision}`;
}
