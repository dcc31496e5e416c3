/** The coordinator's process. */
import { untilAborted } from '../../lib/base/clock.ts';
import { cacheRoot } from '../../lib/base/folders.ts';
import { announceReady, runProcess } from '../../lib/base/process.ts';
import { uniqueId } from '../../lib/base/random.ts';
import { allowsPaths, Datasets } from '../../lib/wire/datasets.ts';
import { connectNats } from '../../lib/wire/nats.ts';
import { readServiceSettings } from '../../lib/wire/service-settings.ts';
import { startCoordinator } from './run.ts';

await runProcess('coordinator', async ({ settings, logger, signal, fail }) => {
  const service = readServiceSettings(settings);
  const id = settings.text('STILLHOUSE_WORKER_ID', uniqueId('coordinator'));
  const nats = await connectNats({
    servers: settings.required('NATS_URL', 'where jobs and models are kept, nats://host:port'),
    name: id,
    logger,
    signal,
    replicas: settings.integer('STILLHOUSE_NATS_REPLICAS', 1, { min: 1, max: 5 }),
  });
  // What a job asks of a data set are its labels; workers verify the content as well.
  const datasets = Datasets.of(settings, { verifyContent: false });
  try {
    const coordinator = await startCoordinator({
      id,
      nats,
      datasets,
      files: { cache: cacheRoot(settings.environment), allowPaths: allowsPaths(settings) },
      host: service.host,
      port: service.port,
      healthPort: service.healthPort,
      metricsPort: service.metricsPort,
      reflection: service.reflection,
      advertised: service.advertised,
      logger,
      onFatal: fail,
    });
    const { address, health, metrics, leaderEpoch } = coordinator;
    logger.info({ address, leaderEpoch }, 'ready');
    announceReady({ service: 'coordinator', id, address, health, metrics });
    await untilAborted(signal);
    await coordinator.stop();
  } finally {
    await datasets.close();
    await nats.close();
  }
});
