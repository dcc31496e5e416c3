/** The phases in which one teacher-worker evaluates a teacher that the job brings along, or labels images. Pure; part of the machine. */
import { noteEndpoints } from './endpoint-notices.ts';
import { dealsImages } from './job-plan.ts';
import type { Turn } from './job-turn.ts';
import { closePhase, emptyShare, finishedTasks, startTasks } from './phase-life.ts';
import { teacherWorkers } from './servings.ts';

export function startTeacherEvaluation(turn: Turn): void {
  const teacher = turn.phase.subject;
  noteEndpoints(turn, [teacher]);
  startTasks(turn, oneWorker(turn), { kind: 'evaluate-teacher', teacher });
}

export function startLabelling(turn: Turn): void {
  const teacher = turn.phase.subject;
  const modelDigest = turn.run.models[teacher] ?? '';
  startTasks(turn, oneWorker(turn), { kind: 'label-images', teacher, modelDigest, answers: givesAnswers(turn) });
}

function oneWorker(turn: Turn) {
  const workers = teacherWorkers(turn).slice(0, 1);
  turn.patchPhase({ workers: workers.map(({ id }) => emptyShare(id, 0, 0)) });
  return workers;
}

/** A job that only labels has no students to deal images to. */
function givesAnswers({ state, spec, phase }: Turn): boolean {
  return state.job.scope === 'ALL' && dealsImages(spec, phase.subject);
}

/** Takes the evaluation of a given teacher in. Answers why it cannot be accepted, if it cannot. */
export function completeTeacherEvaluation(turn: Turn): string | undefined {
  const [task] = finishedTasks(turn);
  if (task === undefined || task.result.modelDigest === '') {
    return `worker ${task?.workerId ?? 'none'} ended without saying which model it is`;
  }
  const { modelDigest, correct, evaluatedImages, predictImagesPerSecond } = task.result;
  turn.patchRun({ models: { ...turn.run.models, [turn.phase.subject]: modelDigest } });
  const accuracy = evaluatedImages === 0 ? 0 : correct / evaluatedImages;
  closePhase(turn, { modelDigest, accuracy, evaluatedImages, predictImagesPerSecond });
  return undefined;
}

/** As `completeTeacherEvaluation`, for a teacher's labels. */
export function completeLabelling(turn: Turn): string | undefined {
  const [task] = finishedTasks(turn);
  if (givesAnswers(turn)) {
    if (task === undefined || task.result.labelsDigest === '') {
      return `worker ${task?.workerId ?? 'none'} ended without storing the teacher's answers`;
    }
    turn.patchRun({ labelsDigest: task.result.labelsDigest });
  }
  closePhase(turn);
  return undefined;
}
