/** The phases that train models together, teachers and students. Pure; part of the machine. */
import { dealLanes } from '../../lib/data/lanes.ts';
import { publishedName } from '../../lib/wire/job-routes.ts';
import { trainedTeachers } from '../../lib/wire/teaching.ts';
import { noteEndpoints } from './endpoint-notices.ts';
import type { ClusterWorker, View } from './job-events.ts';
import type { Turn } from './job-turn.ts';
import { closePhase, emptyShare, finishedTasks, startTasks } from './phase-life.ts';
import {
  endpoints,
  mayBeginWithout,
  noteLeftOut,
  superviseServings,
  taughtModels,
  teacherWorkers,
} from './servings.ts';
import { NO_ADVICE } from './teacher-advice.ts';
import { findDisagreement, storedResult } from './training-result.ts';
import { chooseAlike, chooseStudents } from './worker-choice.ts';

export function startTeacherTraining(turn: Turn): void {
  const teacher = turn.phase.subject;
  const spec = trainedTeachers(turn.spec).find(({ name }) => name === teacher);
  const workers = chooseAlike(teacherWorkers(turn), spec?.train.workers ?? 1);
  startTasks(turn, workers, { kind: 'train-teacher', teacher, view: dealView(turn, workers, spec?.train.lanes ?? 0) });
}

/** The next view: all lanes, dealt to these workers. */
function dealView(turn: Turn, workers: readonly ClusterWorker[], lanes: number): View {
  const blocks = dealLanes(lanes, workers.length);
  const members = blocks.map((block, at) => ({ workerId: workers[at]?.id ?? '', ...block }));
  const number = turn.run.viewNumber + 1;
  turn.patchRun({ viewNumber: number });
  const shares = members.map((member) => emptyShare(member.workerId, member.firstLane, member.lanes));
  turn.patchPhase({ workers: shares });
  return { number, members };
}

/**
 * Starts the training of a student, after a teacher-worker has loaded what it learns from, where that is needed and none serves it
 * yet. Answers why the job has to fail, if it has to.
 *
 * @param sinceMs when the student began to wait for teacher-workers
 */
export function startDistillation(turn: Turn, sinceMs: number): string | undefined {
  noteLeftOut(turn);
  const models = taughtModels(turn);
  noteEndpoints(
    turn,
    models.map(({ teacher }) => teacher),
  );
  const problem = superviseServings(turn);
  if (problem !== undefined) return problem;
  const isServed = models.length === 0 || endpoints(turn).length > 0;
  if (isServed || (turn.run.servings.length === 0 && mayBeginWithout(turn, sinceMs))) startStudentTraining(turn);
  else turn.patchRun({ stage: { kind: 'serving-teacher', sinceMs: turn.nowMs } });
  return undefined;
}

export function startStudentTraining(turn: Turn): void {
  const { spec, phase, run } = turn;
  const workers = chooseStudents(turn.cluster, spec.averaging.workers);
  // A student may have gone while the teacher was loading.
  if (workers.length < spec.averaging.workers) {
    turn.patchRun({ stage: { kind: 'gathering', sinceMs: turn.nowMs } });
    return;
  }
  const view = dealView(turn, workers, spec.train.lanes);
  const teachers = endpoints(turn);
  turn.patchRun({ offered: JSON.stringify(teachers), advice: NO_ADVICE });
  startTasks(turn, workers, {
    kind: 'train-student',
    student: phase.subject,
    control: phase.kind === 'CONTROL',
    view,
    taughtBy: taughtModels(turn),
    teachers,
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
  const { controls, students, models } = turn.run;
  if (kind === 'CONTROL') {
    const model = { name: publishedName(turn.spec, subject, true), digest: modelDigest, manifestJson };
    turn.patchRun({ controls: [...controls, model] });
  } else {
    turn.patchRun({ models: { ...models, [subject]: modelDigest } });
  }
  const isPublished =
    kind === 'DISTIL' && !turn.spec.students.some(({ name, assistant }) => assistant && name === subject);
  if (isPublished) {
    const model = { name: publishedName(turn.spec, subject, false), digest: modelDigest, manifestJson };
    turn.patchRun({ students: [...students, model] });
  }
  const accuracy = evaluatedImages === 0 ? 0 : correct / evaluatedImages;
  closePhase(turn, { modelDigest, accuracy, evaluatedImages, predictImagesPerSecond, droppedDigest });
  return undefined;
}
