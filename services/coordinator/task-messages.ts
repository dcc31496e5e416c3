/** Between the messages of Workers.Attend and the words of the job machine. */
import type { StartTask } from '../../lib/wire/generated/stillhouse/v1/StartTask.ts';
import type { TaskProgress__Output } from '../../lib/wire/generated/stillhouse/v1/TaskProgress.ts';
import type { WorkerMessage__Output } from '../../lib/wire/generated/stillhouse/v1/WorkerMessage.ts';
import { codeOfName } from '../../lib/wire/grpc.ts';
import type { JobEvent, Progress, TaskCommand } from './job-events.ts';
import type { JobRecord } from './job-record.ts';

export function startMessage(job: JobRecord, taskId: string, command: TaskCommand): StartTask {
  const start = { taskId, jobId: job.id, jobJson: job.specJson, datasetDigest: job.datasetDigest };
  switch (command.kind) {
    case 'train-teacher':
      return { ...start, trainTeacher: { teacher: command.teacher } };
    case 'serve-teacher':
      return { ...start, serveTeacher: { teacher: command.teacher, modelDigest: command.modelDigest } };
    case 'train-student': {
      const { student, control, view, teachers } = command;
      const members = [...view.members];
      return { ...start, trainStudent: { student, control, view: { ...view, members }, teachers: [...teachers] } };
    }
    case 'evaluate-route': {
      const { route, routerAddress } = command;
      return { ...start, evaluateRoute: { route, routerAddress } };
    }
  }
}

/** What a worker's message means to the job; undefined for a message that is none of the job's. */
export function eventOf(workerId: string, message: WorkerMessage__Output): JobEvent | undefined {
  const { ready, progress, done, failed } = message;
  if (ready) return { kind: 'ready', workerId, ...ready };
  if (progress) return { kind: 'progress', workerId, taskId: progress.taskId, progress: progressOf(progress) };
  if (done) {
    const { taskId, modelDigest, manifestJson, correct, evaluatedImages } = done;
    const last = done.last ? progressOf(done.last) : undefined;
    return { kind: 'done', workerId, taskId, result: { last, modelDigest, manifestJson, correct, evaluatedImages } };
  }
  if (failed) {
    const { taskId, message: text, field } = failed;
    return { kind: 'failed', workerId, taskId, code: codeOfName(failed.code), message: text, field };
  }
  return undefined;
}

function progressOf({ step, firstLoss, loss, share }: TaskProgress__Output): Progress {
  return { step, firstLoss, loss, share: share ?? undefined };
}
