/** Loads a teacher that a job brings along, sees whether its students can learn from it, and measures it on the test split. */
import { StillhouseError } from '../../lib/base/errors.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import { labelWithin, resolveClasses, restrictToClasses } from '../../lib/data/class-map.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { selectSplits } from '../../lib/data/splits.ts';
import type { Compute } from '../../lib/distill/compute.ts';
import { evaluate } from '../../lib/distill/evaluate.ts';
import { selectColumns, studentColumns } from '../../lib/distill/logits/columns.ts';
import { batchProgress } from '../../lib/wire/batch-progress.ts';
import { teacherTestIds } from '../../lib/wire/job-plan.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { requireStorable } from '../../lib/wire/logits-formats.ts';
import { openTeacher, type TeacherModel } from '../../lib/wire/teachers/open-teacher.ts';
import { taughtBy } from '../../lib/wire/teaching.ts';
import type { TaskContext, TaskResult } from '../../lib/wire/worker-session.ts';

export interface EvaluateTeacherRequest {
  readonly job: JobSpec;
  /** Its name in the job. */
  readonly teacher: string;
  readonly workerId: string;
  readonly dataset: Dataset;
  readonly compute: Compute;
  readonly objects: ObjectStore;
  /** See `OpenTeacherRequest`. */
  readonly cache: string;
}

/** Of one call: a shape that every server takes, and that keeps a device busy. */
const BATCH_SIZE = 64;

/**
 * Answers the digest by which the teacher is known from then on, and right answers among the data set's classes that it knows.
 * @throws FAILED_PRECONDITION when it lacks a class of a student that is to learn from it; what `requireStorable`, `openTeacher` and its
 *   `predict` throw; the signal's reason
 */
export async function evaluateTeacher(request: EvaluateTeacherRequest, task: TaskContext): Promise<TaskResult> {
  const { job, teacher, workerId, dataset } = request;
  const { signal } = task;
  const model = await openTeacher({ ...request, modelDigest: '', batchSizes: [BATCH_SIZE], signal });
  try {
    requireClasses(job, teacher, model, dataset);
    requireStorable(job, { name: teacher, classNames: model.classNames }, dataset);
    const questions = testOf(job, dataset, model.classNames);
    task.ready({ parameters: model.parameters, stepsTotal: Math.ceil(questions.ids.length / BATCH_SIZE) });
    await task.begun;
    let [batches, images] = [0, 0];
    const columns = studentColumns({ classNames: questions.known, dustbinTemperature: 0 }, model.classNames);
    const evaluated = {
      outputs: questions.known.length,
      load: (ids: ArrayLike<number>) => dataset.load(ids),
      predict: async (pixels: Float32Array, count: number) => {
        const logits = await model.predict(pixels, count);
        batches += Math.ceil(count / BATCH_SIZE);
        images += count;
        task.progress(batchProgress(workerId, batches, images));
        return selectColumns(logits, model.classNames.length, columns);
      },
    };
    const { correct, evaluated: count, imagesPerSecond } = await evaluate(evaluated, questions, signal);
    return {
      last: batchProgress(workerId, batches, images),
      modelDigest: model.digest,
      manifestJson: '',
      correct,
      evaluatedImages: count,
      predictImagesPerSecond: imagesPerSecond,
    };
  } finally {
    await model.close();
  }
}

/** The test images of classes that the teacher knows, and their labels among those. */
function testOf(job: JobSpec, dataset: Dataset, teacherClassNames: readonly string[]) {
  const classIds = [...dataset.classNames.keys()].filter((id) =>
    teacherClassNames.includes(dataset.classNames[id] as string),
  );
  const known = classIds.map((id) => dataset.classNames[id] as string);
  const splits = selectSplits(dataset, { seed: job.seed, ...job.data });
  const ids = restrictToClasses(teacherTestIds(job, dataset, splits), dataset.labels, classIds);
  return { known, ids, classes: known.length, labelOf: labelWithin(dataset.labels, classIds) };
}

/** That it knows others, or has them in another order, does no harm. */
function requireClasses(job: JobSpec, teacher: string, { classNames }: TeacherModel, dataset: Dataset): void {
  for (const [index, student] of job.students.entries()) {
    if (!taughtBy(job, student).includes(teacher)) continue;
    const wanted = resolveClasses(
      student.classes ?? dataset.classNames,
      dataset.classNames,
      `students[${index}].classes`,
    );
    const lacking = wanted.classNames.filter((name) => !classNames.includes(name));
    if (lacking.length === 0) continue;
    const message = `teacher ${teacher} lacks the classes ${some(lacking)} of student ${student.name}`;
    throw new StillhouseError('FAILED_PRECONDITION', message, {
      field: 'classNames',
      hint: `it knows ${some(classNames)}; names are compared letter by letter, and from.classNames tells them`,
    });
  }
}

const NAMES_SHOWN = 10;

function some(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_SHOWN).join(', ');
  return names.length > NAMES_SHOWN ? `${shown} and ${names.length - NAMES_SHOWN} more` : shown;
}
