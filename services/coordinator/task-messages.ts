/** Between the messages of Workers.Attend and the words of the job machine. */
import type { StartTask } from '../../lib/wire/generated/stillhouse/v1/StartTask.ts';
import type { TaskProgress__Output } from '../../lib/wire/generated/stillhouse/v1/TaskProgress.ts';
import type { WorkerMessage__Output } from '../../lib/wire/generated/stillhouse/v1/WorkerMessage.ts';
import { codeOfName } from '../../lib/wire/grpc.ts';
import type { JobEvent, Progress, TaskCommand, View } from './job-events.ts';
import type { JobRecord } from './job-record.ts';

const SPLITS = { calibrate: 'EVALUATION_SPLIT_CALIBRATE', test: 'EVALUATION_SPLIT_TEST' } as const;

export function startMessage(job: JobRecord, taskId: string, command: TaskCommand): StartTask {
  const start = { taskId, jobId: job.id, jobJson: job.specJson, datasetDigest: job.datasetDigest };
  switch (command.kind) {
    case 'train-teacher':
      return { ...start, trainTeacher: { teacher: command.teacher, view: viewMessage(command.view) } };
    case 'evaluate-teacher':
      return { ...start, evaluateTeacher: { teacher: command.teacher } };
    case 'label-images': {
      const { teacher, modelDigest, answers } = command;
      return { ...start, labelImages: { teacher, modelDigest, answers } };
    }
    case 'serve-teacher':
      return { ...start, serveTeacher: { teachers: [...command.teachers] } };
    case 'train-student': {
      const { student, control, view, labelsDigest } = command;
      const lists = { taughtBy: [...command.taughtBy], teachers: [...command.teachers] };
      return { ...start, trainStudent: { student, control, view: viewMessage(view), ...lists, labelsDigest } };
    }
    case 'evaluate-route': {
      const { route, routerAddress, rules, split } = command;
      return { ...start, evaluateRoute: { route, routerAddress, rules: [...rules], split: SPLITS[split] } };
    }
  }
}

function viewMessage({ number, members }: View) {
  return { number, members: [...members] };
}

/** What a worker's message means to the job; undefined for a message that is none of the job's. */
export function eventOf(workerId: string, message: WorkerMessage__Output): JobEvent | undefined {
  const { ready, progress, done, failed } = message;
  if (ready) return { kind: 'ready', workerId, ...ready };
  if (progress) return { kind: 'progress', workerId, taskId: progress.taskId, progress: progressOf(progress) };
  if (done) {
    const { taskId, last, ...result } = done;
    return { kind: 'done', workerId, taskId, result: { ...result, last: last ? progressOf(last) : undefined } };
  }
  if (failed) {
    const { taskId, message: text, field } = failed;
    return { kind: 'failed', workerId, taskId, code: codeOfName(failed.code), message: text, field };
  }
  return undefined;
}

function progressOf({ taskId: _task, share, ...progress }: TaskProgress__Output): Progress {
  return { ...progress, share: share ?? undefined };
}
