/** The phases that train models, and the one in which the teacher labels images. Pure; part of the machine. */
import { dealLanes } from '../../lib/data/lanes.ts';
import { mayUseTeacher } from '../../lib/wire/job-losses.ts';
import { publishedName } from '../../lib/wire/job-routes.ts';
import type { Serving, Turn } from './job-turn.ts';
import { closePhase, emptyShare, finishedTasks, startTasks } from './phase-life.ts';
import { findDisagreement, storedResult } from './training-result.ts';
import { chooseAlike, chooseStudents, workersOf } from './worker-choice.ts';

export function startTeacherTraining(turn: Turn): void {
  const teacher = turn.phase.subject;
  const lanes = turn.spec.teachers.find(({ name }) => name === teacher)?.train.lanes ?? 0;
  const workers = workersOf(turn.cluster, 'teacher').slice(0, 1);
  turn.patchPhase({ workers: workers.map(({ id }) => emptyShare(id, 0, lanes)) });
  startTasks(turn, workers, { kind: 'train-teacher', teacher });
}

export function startLabelling(turn: Turn): void {
  const workers = workersOf(turn.cluster, 'teacher').slice(0, 1);
  turn.patchPhase({ workers: workers.map(({ id }) => emptyShare(id, 0, 0)) });
  const modelDigest = turn.run.teacherDigest;
  startTasks(turn, workers, { kind: 'label-images', teacher: turn.phase.subject, modelDigest });
}

/** Starts the training of a student, after the teacher's loading where it is needed and nobody serves it yet. */
export function startDistillation(turn: Turn): void {
  if (mayUseTeacher(turn.spec.distill) && turn.run.servings.length === 0) serveTeacher(turn);
  else startStudentTraining(turn);
}

function serveTeacher(turn: Turn): void {
  const { averaging, teachers } = turn.spec;
  const teacher = teachers[0]?.name ?? '';
  const { teacherDigest: modelDigest, labelsDigest } = turn.run;
  // More teachers than students would have nobody to answer.
  const workers = chooseAlike(workersOf(turn.cluster, 'teacher'), averaging.workers);
  const servings = workers.map(({ id, address }): Serving => {
    const taskId = turn.startTask(id, { kind: 'serve-teacher', teacher, modelDigest, labelsDigest });
    return { taskId, workerId: id, address, isReady: false };
  });
  turn.patchRun({ servings, stage: { kind: 'serving-teacher', sinceMs: turn.nowMs } });
}

export function startStudentTraining(turn: Turn): void {
  const { spec, phase, run } = turn;
  const control = phase.kind === 'CONTROL';
  const workers = chooseStudents(turn.cluster, spec.averaging.workers);
  // A student may have gone while the teacher was loading.
  if (workers.length < spec.averaging.workers) {
    turn.patchRun({ stage: { kind: 'gathering', sinceMs: turn.nowMs } });
    return;
  }
  const blocks = dealLanes(spec.train.lanes, workers.length);
  const members = blocks.map((block, at) => ({ workerId: workers[at]?.id ?? '', ...block }));
  const number = run.viewNumber + 1;
  turn.patchRun({ viewNumber: number });
  turn.patchPhase({ workers: members.map(({ workerId, firstLane, lanes }) => emptyShare(workerId, firstLane, lanes)) });
  const teachers = control || !mayUseTeacher(spec.distill) ? [] : run.servings;
  startTasks(turn, workers, {
    kind: 'train-student',
    student: phase.subject,
    control,
    view: { number, members },
    teachers: teachers.map(({ workerId, address }) => ({ workerId, address, modelDigest: run.teacherDigest })),
    // The control arm too: it takes as many steps as the distilled student, whose images the teacher deals out.
    labelsDigest: run.labelsDigest,
  });
}

/** Takes the results of all workers of the phase in. Answers why they cannot be accepted, if they cannot. */
export function completeTraining(turn: Turn): string | undefined {
  const { kind, subject, stepsTotal } = turn.phase;
  const finished = finishedTasks(turn);
  const disagreement = findDisagreement(finished, stepsTotal);
  if (disagreement !== undefined) return disagreement;
  const result = storedResult(finished);
  if (result === undefined) return 'no model was stored';
  const { modelDigest, manifestJson, correct, evaluatedImages, predictImagesPerSecond, droppedDigest } = result;
  if (kind === 'TRAIN_TEACHER') {
    turn.patchRun({ teacherDigest: modelDigest });
  } else {
    const control = kind === 'CONTROL';
    const model = { name: publishedName(turn.spec, subject, control), digest: modelDigest, manifestJson };
    const { controls, students } = turn.run;
    turn.patchRun(control ? { controls: [...controls, model] } : { students: [...students, model] });
  }
  const accuracy = evaluatedImages === 0 ? 0 : correct / evaluatedImages;
  closePhase(turn, { modelDigest, accuracy, evaluatedImages, predictImagesPerSecond, droppedDigest });
  return undefined;
}

/** As `completeTraining`, for the teacher's labels. */
export function completeLabelling(turn: Turn): string | undefined {
  const [task] = finishedTasks(turn);
  if (task === undefined || task.result.labelsDigest === '') {
    return `worker ${task?.workerId ?? 'none'} ended without storing the teacher's answers`;
  }
  turn.patchRun({ labelsDigest: task.result.labelsDigest });
  closePhase(turn);
  return undefined;
}
