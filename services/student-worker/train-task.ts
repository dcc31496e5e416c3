/** Trains a student together with the other members of the view, with the teachers' logits or, for the control arm, without. */
import { answersOf, loadLabels, requireLabels } from '../../lib/checkpoint/labels.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import type { TrainStudent__Output } from '../../lib/wire/generated/stillhouse/v1/TrainStudent.ts';
import { type GroupMember, GroupTrainer } from '../../lib/wire/group-training.ts';
import { loadCustomLosses } from '../../lib/wire/job-losses.ts';
import { type ModelPlan, planStudent } from '../../lib/wire/job-plan.ts';
import type { TaskContext, TaskResult, TeachersListener } from '../../lib/wire/task-runner.ts';
import { loadInit } from '../../lib/wire/trainer.ts';
import type { TeacherAnswers } from '../../lib/wire/training-samples.ts';
import { openStudentLogits, type StudentLogits } from './student-logits.ts';

export interface TrainStudentRequest extends GroupMember {
  readonly command: TrainStudent__Output;
  /** Where logits are cached; null where this worker reads no cache. */
  readonly logitsFolder: string | null;
}

export class StudentTrainer {
  readonly #group = new GroupTrainer();

  /** See `GroupTrainer.close`. */
  close(): void {
    this.#group.close();
  }

  async run(request: TrainStudentRequest, task: TaskContext): Promise<TaskResult> {
    const { job, command, dataset, compute, objects } = request;
    // What the job's code may do was decided when the job was taken on.
    const losses = await loadCustomLosses(compute, job);
    const init = await loadInit(
      objects,
      job.students.find(({ name }) => name === command.student),
    );
    const answers = await teacherAnswers(objects, command.labelsDigest, dataset);
    const plan = await planStudent(job, dataset, command.student, command.control, { init, losses, answers });
    const { view } = command;
    if (!plan.usesTeacher) return this.#group.run(request, { view, plan, teachers: [] }, task);
    const teachers = command.taughtBy.map(({ modelDigest }) => modelDigest);
    const openLogits = () => openLogitsOf(request, plan, task);
    return this.#group.run(request, { view, plan, teachers, openLogits }, task);
  }
}

function openLogitsOf(request: TrainStudentRequest, plan: ModelPlan, task: TaskContext): Promise<StudentLogits> {
  const { job, jobId, workerId, command, dataset, objects, logitsFolder, logger } = request;
  const view = command.view?.number ?? 0;
  const asked = { job, jobId, workerId, view, command, plan, dataset, objects, logitsFolder, logger };
  const told = {
    onTeachers: (listener: TeachersListener) => task.onTeachers(listener),
    onTrouble: (reason: string) => task.note(`worker ${workerId}: ${reason}`),
  };
  return openStudentLogits({ ...asked, ...told }, task.signal);
}

/** What the teacher answered to each training image, where it has labelled them. */
async function teacherAnswers(objects: ObjectStore, digest: string, dataset: Dataset): Promise<TeacherAnswers | null> {
  if (digest === '') return null;
  const table = await loadLabels(objects, digest);
  requireLabels(table, digest, { datasetDigest: dataset.digest, classes: dataset.classNames.length });
  return answersOf(table);
}
