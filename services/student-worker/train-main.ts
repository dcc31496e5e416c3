/** The student-worker as a trainer: takes tasks from the coordinator. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { announceReady, type ProcessContext } from '../../lib/base/process.ts';
import type { StartTask__Output } from '../../lib/wire/generated/stillhouse/v1/StartTask.ts';
import { RpcServer } from '../../lib/wire/grpc.ts';
import { Metrics } from '../../lib/wire/metrics.ts';
import { readServiceSettings } from '../../lib/wire/service-settings.ts';
import { WorkerProcess } from '../../lib/wire/worker-process.ts';
import { attend, type TaskContext, type TaskProgressFields, type TaskResult } from '../../lib/wire/worker-session.ts';
import { evaluateRoute } from './evaluate-route-task.ts';
import { addStudentMetrics, StudentTotals } from './student-metrics.ts';
import { StudentTrainer } from './train-task.ts';

export async function runStudent(context: ProcessContext): Promise<void> {
  const { settings, logger, signal } = context;
  const coordinator = settings.required('STILLHOUSE_COORDINATOR', "the coordinator's host:port");
  const { host, healthPort, metricsPort, advertised } = readServiceSettings(settings);
  const worker = await WorkerProcess.open(context, 'student');
  // Students serve no business traffic; their one port answers health checks.
  const server = new RpcServer(logger);
  const health = advertised(await server.listenHealth(host, healthPort));
  const metrics = await Metrics.listen({ host, port: metricsPort, serving: () => server.health.isServing });
  const totals = new StudentTotals();
  addStudentMetrics(metrics, totals);
  server.setServing(true);
  worker.startHeartbeat();
  announceReady({ service: 'student-worker', id: worker.id, health, metrics: advertised(metrics.port) });

  const trainer = new StudentTrainer();
  const runTask = async (start: StartTask__Output, task: TaskContext): Promise<TaskResult> => {
    const { job, dataset } = await worker.jobOf(start);
    const { jobId } = start;
    const { compute, objects, nats, id: workerId, logitsFolder } = worker;
    if (start.trainStudent) {
      const command = start.trainStudent;
      worker.doing(`trains student ${command.student} of ${jobId}${command.control ? ' (control arm)' : ''}`);
      const { bus } = nats;
      const { leaderEpoch } = task;
      const member = { jobId, job, leaderEpoch, workerId, dataset, compute, bus, objects, logger };
      return trainer.run({ ...member, command, logitsFolder }, task);
    }
    if (start.evaluateRoute) {
      worker.doing(`evaluates route ${start.evaluateRoute.route} of ${jobId}`);
      return evaluateRoute({ job, dataset, workerId, command: start.evaluateRoute }, task);
    }
    throw new StillhouseError('UNIMPLEMENTED', `a student-worker does not know the task ${start.task}`);
  };
  await attend({
    coordinator,
    hello: worker.hello(),
    logger,
    signal,
    runTask: (start, task) => {
      const progress = (fields: TaskProgressFields) => {
        if (fields.share) totals.observe(start.taskId, fields.share);
        task.progress(fields);
      };
      return runTask(start, { ...task, progress }).finally(() => worker.doing('idle'));
    },
  });
  trainer.close();
  await Promise.all([server.stop(0), metrics.stop()]);
  await worker.close();
}
