/** The teacher-worker: trains and evaluates teachers, labels images with them and streams their logits to students. */

import { untilAborted } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Logger } from '../../lib/base/log.ts';
import { announceReady, type ProcessContext, runProcess } from '../../lib/base/process.ts';
import { LOGITS_BYTES_MAX } from '../../lib/checkpoint/logits-cache/cache.ts';
import type { StartTask__Output } from '../../lib/wire/generated/stillhouse/v1/StartTask.ts';
import { RpcServer } from '../../lib/wire/grpc.ts';
import { Metrics } from '../../lib/wire/metrics.ts';
import { readServiceSettings } from '../../lib/wire/service-settings.ts';
import { WorkerProcess } from '../../lib/wire/worker-process.ts';
import { attend, type TaskContext, type TaskResult } from '../../lib/wire/worker-session.ts';
import { evaluateTeacher } from './evaluate-task.ts';
import { labelImages } from './label-task.ts';
import { LogitsService } from './logits-service.ts';
import { serveTeachers } from './serve-task.ts';
import { addTeacherMetrics } from './teacher-metrics.ts';
import { TeacherTrainer } from './train-task.ts';

/** Batches that a drained worker has taken on are answered within this time. */
const DRAIN_MS = 10_000;
/** For all that comes after that. */
const END_MS = 10_000;

const LOGITS_BYTES_RANGE = { min: 2 ** 20, max: Number.MAX_SAFE_INTEGER };

await runProcess('teacher-worker', runTeacher, { shutdownLimitMs: DRAIN_MS + END_MS });

async function runTeacher(context: ProcessContext): Promise<void> {
  const { settings, logger, signal } = context;
  const coordinator = settings.required('STILLHOUSE_COORDINATOR', "the coordinator's host:port");
  const { host, port, healthPort, metricsPort, reflection, advertised } = readServiceSettings(settings);
  const logitsBytesMax = settings.integer('STILLHOUSE_LOGITS_MAX_BYTES', LOGITS_BYTES_MAX, LOGITS_BYTES_RANGE);
  const worker = await WorkerProcess.open(context, 'teacher');
  const logits = new LogitsService({ workerId: worker.id });
  const server = new RpcServer(logger, { reflection }).add('Teacher', logits.implementation());
  worker.address = advertised(await server.listen(host, port));
  const health = advertised(await server.listenHealth(host, healthPort));
  const metrics = await Metrics.listen({ host, port: metricsPort, serving: () => server.health.isServing });
  addTeacherMetrics(metrics, () => logits.status());
  server.setServing(true);
  worker.startHeartbeat();
  const { address } = worker;
  announceReady({ service: 'teacher-worker', id: worker.id, address, health, metrics: advertised(metrics.port) });

  const trainer = new TeacherTrainer();
  const session = new AbortController();
  // Students are answered what they have asked for before the coordinator is left.
  void untilAborted(signal).then(async () => {
    server.setServing(false);
    await logits.drain(DRAIN_MS);
    session.abort(signal.reason);
  });
  await attend({
    coordinator,
    hello: worker.hello(),
    logger,
    draining: signal,
    signal: session.signal,
    runTask: async (start, task) => {
      try {
        return await runTask(start, task, { worker, trainer, logits, logitsBytesMax, logger });
      } finally {
        worker.modelDigests = [];
        worker.doing('idle');
      }
    },
  });
  trainer.close();
  await Promise.all([server.stop(1_000), metrics.stop()]);
  await worker.close();
}

interface Means {
  readonly worker: WorkerProcess;
  readonly trainer: TeacherTrainer;
  readonly logits: LogitsService;
  /** See `LogitsCacheOptions.bytesMax`. */
  readonly logitsBytesMax: number;
  readonly logger: Logger;
}

async function runTask(start: StartTask__Output, task: TaskContext, means: Means): Promise<TaskResult> {
  const { worker, trainer, logits, logitsBytesMax, logger } = means;
  const { job, dataset } = await worker.jobOf(start);
  const { jobId } = start;
  const { id: workerId, compute, objects, logitsFolder, cache } = worker;
  const common = { jobId, job, workerId, dataset, compute, objects, logger };
  if (start.trainTeacher) {
    const command = start.trainTeacher;
    worker.doing(`trains teacher ${command.teacher} of ${jobId}`);
    return trainer.run({ ...common, leaderEpoch: task.leaderEpoch, bus: worker.nats.bus, command }, task);
  }
  if (start.evaluateTeacher) {
    const { teacher } = start.evaluateTeacher;
    worker.doing(`evaluates teacher ${teacher} of ${jobId}`);
    return evaluateTeacher({ ...common, teacher, cache }, task);
  }
  if (start.labelImages) {
    const command = start.labelImages;
    worker.doing(`labels the images of ${jobId} with teacher ${command.teacher}`);
    return labelImages({ ...common, command, logitsFolder, logitsBytesMax, cache }, task);
  }
  if (start.serveTeacher) {
    const command = start.serveTeacher;
    worker.doing(`serves ${command.teachers.map(({ teacher }) => teacher).join(', ')} to ${jobId}`);
    worker.modelDigests = command.teachers.map(({ modelDigest }) => modelDigest);
    return serveTeachers({ ...common, command, logitsFolder, logitsBytesMax, cache, logits }, task);
  }
  throw new StillhouseError('UNIMPLEMENTED', `a teacher-worker does not know the task ${start.task}`);
}
