/** Trains a teacher together with the other members of the view. */
import type { TrainTeacher__Output } from '../../lib/wire/generated/stillhouse/v1/TrainTeacher.ts';
import { type GroupMember, GroupTrainer } from '../../lib/wire/group-training.ts';
import { planTeacher, trainedTeacher } from '../../lib/wire/job-plan.ts';
import type { TaskContext, TaskResult } from '../../lib/wire/task-runner.ts';
import { loadInit } from '../../lib/wire/trainer.ts';

export interface TrainTeacherRequest extends GroupMember {
  readonly command: TrainTeacher__Output;
}

export class TeacherTrainer {
  readonly #group = new GroupTrainer();

  /** See `GroupTrainer.close`. */
  close(): void {
    this.#group.close();
  }

  async run(request: TrainTeacherRequest, task: TaskContext): Promise<TaskResult> {
    const { job, dataset, objects, command } = request;
    const init = await loadInit(objects, trainedTeacher(job, command.teacher));
    const plan = await planTeacher(job, dataset, command.teacher, init);
    return this.#group.run(request, { view: command.view, plan, teachers: [] }, task);
  }
}
