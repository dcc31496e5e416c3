/** Serves the logits of a job's teachers to its students until the task is cancelled. */
import { every, untilAborted } from '../../lib/base/clock.ts';
import type { ServeTeacher__Output } from '../../lib/wire/generated/stillhouse/v1/ServeTeacher.ts';
import type { TeacherShare } from '../../lib/wire/generated/stillhouse/v1/TeacherShare.ts';
import type { TaskContext, TaskResult } from '../../lib/wire/worker-session.ts';
import { type LoadedTeacher, type LoadTeacherRequest, loadTeacher } from './loaded-teacher.ts';
import type { LogitsService } from './logits-service.ts';

export interface ServeTeachersRequest extends LoadTeacherRequest {
  readonly command: ServeTeacher__Output;
  readonly workerId: string;
  readonly logits: LogitsService;
}

/** How often is looked whether there is something to tell: a phase that ends is not told what came after that. */
const PROGRESS_MS = 100;

/** @throws what `loadTeacher` throws */
export async function serveTeachers(request: ServeTeachersRequest, task: TaskContext): Promise<TaskResult> {
  const { jobId, command, logits } = request;
  const teachers: LoadedTeacher[] = [];
  try {
    for (const taught of command.teachers) teachers.push(await loadTeacher(request, taught, task.signal));
    for (const { served } of teachers) logits.serve(served);
    task.ready({ parameters: teachers.reduce((sum, { parameters }) => sum + parameters, 0), stepsTotal: 0 });
    const stop = tellProgress(request.workerId, teachers, task);
    await untilAborted(task.signal);
    stop();
    return { last: { teachers: sharesOf(request.workerId, teachers) } };
  } finally {
    await logits.withdraw(jobId);
    for (const teacher of teachers) await teacher.close();
  }
}

function sharesOf(workerId: string, teachers: readonly LoadedTeacher[]): TeacherShare[] {
  return teachers.map(({ served }) => served.counters.share(workerId));
}

/** Tells what has been served, whenever that has changed; returns what ends it. */
function tellProgress(workerId: string, teachers: readonly LoadedTeacher[], task: TaskContext): () => void {
  let told = '';
  return every(PROGRESS_MS, () => {
    const shares = sharesOf(workerId, teachers);
    const counted = JSON.stringify(shares.map(({ servingMs: _, ...counts }) => counts));
    if (counted === told) return;
    told = counted;
    task.progress({ teachers: shares });
  });
}
