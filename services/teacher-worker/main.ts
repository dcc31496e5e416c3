/** The teacher-worker: trains teachers, labels images with them and streams their logits to students. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { announceReady, runProcess } from '../../lib/base/process.ts';
import type { StartTask__Output } from '../../lib/wire/generated/stillhouse/v1/StartTask.ts';
import { RpcServer } from '../../lib/wire/grpc.ts';
import { readServiceSettings } from '../../lib/wire/service-settings.ts';
import { WorkerProcess } from '../../lib/wire/worker-process.ts';
import { attend, type TaskContext, type TaskResult } from '../../lib/wire/worker-session.ts';
import { labelImages } from './label-task.ts';
import { LogitsService } from './logits-service.ts';
import { serveTeacher } from './serve-task.ts';
import { trainTeacher } from './train-task.ts';

await runProcess('teacher-worker', async (context) => {
  const { settings, logger, signal } = context;
  const coordinator = settings.required('STILLHOUSE_COORDINATOR', "the coordinator's host:port");
  const { host, port, healthPort, reflection, advertised } = readServiceSettings(settings);
  const worker = await WorkerProcess.open(context, 'teacher');
  const logits = new LogitsService(worker.id);
  const server = new RpcServer(logger, { reflection }).add('Teacher', logits.implementation());
  worker.address = advertised(await server.listen(host, port));
  const health = advertised(await server.listenHealth(host, healthPort));
  server.setServing(true);
  worker.startHeartbeat();
  announceReady({ service: 'teacher-worker', id: worker.id, address: worker.address, health });

  const runTask = async (start: StartTask__Output, task: TaskContext): Promise<TaskResult> => {
    const { job, dataset } = await worker.jobOf(start);
    const { jobId } = start;
    const { compute, objects } = worker;
    if (start.trainTeacher) {
      const { teacher } = start.trainTeacher;
      worker.doing(`trains teacher ${teacher} of ${jobId}`);
      return trainTeacher({ jobId, job, teacher, workerId: worker.id, dataset, compute, objects, logger }, task);
    }
    if (start.labelImages) {
      const { teacher, modelDigest } = start.labelImages;
      worker.doing(`labels the images of ${jobId} with teacher ${teacher}`);
      return labelImages({ job, modelDigest, workerId: worker.id, dataset, compute, objects }, task);
    }
    if (start.serveTeacher) {
      const { teacher, modelDigest, labelsDigest } = start.serveTeacher;
      worker.doing(`serves teacher ${teacher} of ${jobId}`);
      worker.modelDigests = [modelDigest];
      const request = { jobId, job, teacher, modelDigest, labelsDigest };
      return serveTeacher({ ...request, dataset, compute, objects, logits }, task);
    }
    throw new StillhouseError('UNIMPLEMENTED', `a teacher-worker does not know the task ${start.task}`);
  };
  await attend({
    coordinator,
    hello: worker.hello(),
    logger,
    signal,
    runTask: (start, task) =>
      runTask(start, task).finally(() => {
        worker.modelDigests = [];
        worker.doing('idle');
      }),
  });
  await server.stop(1_000);
  await worker.close();
});
