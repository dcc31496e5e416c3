/** A student-worker as a specialist (`--serve`): serves the models that the coordinator deals it. */
import { sleep, unlessAborted } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { announceReady, type ProcessContext } from '../../lib/base/process.ts';
import { loadModel } from '../../lib/checkpoint/models.ts';
import { createPredictor } from '../../lib/distill/predictor.ts';
import { Metrics } from '../../lib/wire/metrics.ts';
import { type InferenceServer, serveInference } from '../../lib/wire/oip/server.ts';
import { readServiceSettings } from '../../lib/wire/service-settings.ts';
import { WorkerProcess } from '../../lib/wire/worker-process.ts';
import { attend, type RunTask } from '../../lib/wire/worker-session.ts';
import { SpecialistServer } from './serve.ts';

/** Requests that are running when the process ends may take this long. */
const DRAIN_MS = 5_000;
/** Time for routers to hear that this specialist is leaving, before it stops taking requests. */
const FAREWELL_MS = 250;
/**
 * A dropped model answers for this long: routers that still go by the route before hear of the new one in that time.
 */
const RETIRE_AFTER_MS = 5_000;

/** Runs until the process's signal. */
export async function runSpecialist(context: ProcessContext): Promise<void> {
  const { settings, logger, signal } = context;
  const service = readServiceSettings(settings);
  const coordinator = settings.required('STILLHOUSE_COORDINATOR', "the coordinator's host:port");
  const worker = await WorkerProcess.open(context, 'specialist');
  const { id: workerId, objects, compute } = worker;
  const specialist = new SpecialistServer({
    load: async (digest) => {
      const { manifest, tensors } = await loadModel(objects, digest);
      return { manifest, predictor: await createPredictor(manifest, tensors, { compute }) };
    },
    retireAfterMs: RETIRE_AFTER_MS,
    logger,
  });
  /** Routers and the coordinator hear at once what is served here now. */
  const tell = () => {
    worker.modelDigests = specialist.modelDigests();
    worker.doing(`serves ${worker.modelDigests.length} models`);
  };
  let server: InferenceServer | undefined;
  let metrics: Metrics | undefined;
  try {
    server = await serveInference(specialist, service, logger);
    const isServing = () => server?.isServing === true;
    metrics = await Metrics.listen({ host: service.host, port: service.metricsPort, serving: isServing });
    metrics.gauge('stillhouse_specialist_models', 'Models that are served.', () => [
      { labels: {}, value: specialist.modelDigests().length },
    ]);
    worker.address = service.advertised(server.port);
    tell();
    worker.startHeartbeat();
    server.setServing(true);
    announceReady({
      service: 'specialist',
      id: workerId,
      address: worker.address,
      http: `http://${service.advertised(server.httpPort)}`,
      health: service.advertised(server.healthPort),
      metrics: service.advertised(metrics.port),
    });
    const hello = worker.hello();
    const runTask = serveModelsTask(specialist, tell);
    await attend({ coordinator, hello, logger, signal, runTask, onStuck: context.fail });
    specialist.end();
    tell();
    await sleep(FAREWELL_MS);
  } finally {
    await server?.stop(DRAIN_MS);
    await specialist.close();
    await metrics?.stop();
    await worker.close();
  }
}

/** The only task of a specialist. What it serves outlives the task and the session with the coordinator. */
export function serveModelsTask(specialist: SpecialistServer, onChange: () => void): RunTask {
  return async ({ task, serveModels }, { signal }) => {
    if (!serveModels) {
      throw new StillhouseError('UNIMPLEMENTED', `a specialist only serves models, and cannot do the task "${task}"`);
    }
    const models = serveModels.models.map(({ name, modelDigest }) => ({ name, digest: modelDigest }));
    // What is being loaded goes on loading after an abort: the next assignment comes after it.
    await unlessAborted(specialist.serveModels(models).finally(onChange), signal);
    return {};
  };
}
