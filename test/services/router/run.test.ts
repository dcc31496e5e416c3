import test from 'ava';
import { sleep } from '../../../lib/base/clock.ts';
import type { ProcessContext } from '../../../lib/base/process.ts';
import { Settings } from '../../../lib/base/settings.ts';
import { startHeartbeat, watchHeartbeats } from '../../../lib/wire/heartbeat.ts';
import { connectNats } from '../../../lib/wire/nats.ts';
import { OipClient, outputOf } from '../../../lib/wire/oip/client.ts';
import { textValues } from '../../../lib/wire/oip/raw-tensor.ts';
import type { OipTensor } from '../../../lib/wire/oip/types.ts';
import { encodeRecord, type Heartbeat, type RouteRecord } from '../../../lib/wire/records.ts';
import { BUCKETS } from '../../../lib/wire/subjects.ts';
import { runRouter } from '../../../services/router/run.ts';
import { testLogger } from '../../helpers/logger.ts';
import { type NatsServer, startNatsServer } from '../../helpers/nats-server.ts';
import { smallModel, startSpecialist } from '../../helpers/specialists.ts';

const LIMITS = { timeoutMs: 10_000 };
const WARM = smallModel('warm', { red: [9, 0, 0], orange: [6, 4, 0] });
const COLD = smallModel('cold', { blue: [0, 0, 9], green: [0, 9, 0] });
const ROUTE: RouteRecord = {
  name: 'colours',
  rule: 'max-softmax',
  classNames: ['red', 'orange', 'blue', 'green'],
  legs: [
    { specialist: 'warm', modelDigest: WARM.digest, classIds: [0, 1], dustbin: false },
    { specialist: 'cold', modelDigest: COLD.digest, classIds: [2, 3], dustbin: false },
  ],
};
const BLUE: OipTensor = {
  name: 'image',
  datatype: 'UINT8',
  shape: [1, 4, 4, 3],
  values: Uint8Array.from({ length: 48 }, (_, index) => (index % 3 === 2 ? 255 : 0)),
};

/** Runs the router's shell in this process; resolves when it has told where it is. */
async function startRouter(t: import('ava').ExecutionContext, server: NatsServer) {
  const logger = testLogger();
  const nats = await connectNats({ servers: server.url, name: 'test', logger });
  t.teardown(() => nats.close());
  let latest: Heartbeat | undefined;
  watchHeartbeats(
    nats.bus,
    (heartbeat) => {
      latest = heartbeat;
    },
    { logger, role: 'router' },
  );
  await nats.bus.flush();
  const ending = new AbortController();
  const settings = new Settings({
    NATS_URL: server.url,
    STILLHOUSE_HOST: '127.0.0.1',
    STILLHOUSE_WORKER_ID: 'router-1',
  });
  const fail = (error: unknown) => t.fail(String(error));
  const context: ProcessContext = { settings, logger, signal: ending.signal, fail };
  const running = runRouter(context);
  const heard = async (test: (heartbeat: Heartbeat) => boolean) => {
    while (latest === undefined || !test(latest)) await sleep(5);
    return latest;
  };
  const { address } = await heard(() => true);
  const client = new OipClient(address);
  t.teardown(() => client.close());
  const end = () => {
    ending.abort();
    return running;
  };
  t.teardown(end);
  return { nats, client, heard, end };
}

test('a route is taken over once its specialists are heard, survives the broker, and ends in order', async (t) => {
  const server = await startNatsServer();
  t.teardown(() => server.stop());
  const { nats, client, heard, end } = await startRouter(t, server);
  const routes = await nats.keyValue(BUCKETS.routes);
  await routes.create('broken', encodeRecord({ ...ROUTE, name: 'broken', classNames: ['red'] }));
  const revision = await routes.create('colours', encodeRecord(ROUTE));
  t.deepEqual((await heard(() => true)).routes, {});

  const specialists = [await startSpecialist(t, 'a', [WARM]), await startSpecialist(t, 'b', [COLD])];
  const hearts = specialists.map(({ id, address, modelDigests }) =>
    startHeartbeat(nats.bus, () => ({
      id,
      role: 'specialist',
      address,
      activity: '',
      pid: 1,
      modelDigests: [...modelDigests],
    })),
  );
  t.teardown(() => {
    for (const heart of hearts) heart.stop();
  });
  const { routes: told, activity } = await heard((heartbeat) => heartbeat.routes?.colours === revision);
  t.deepEqual([told, activity], [{ colours: revision }, '1 routes']);
  const ask = async () => {
    const response = await client.infer({ modelName: 'colours', inputs: [BLUE] }, LIMITS);
    return [...textValues(outputOf(response, 'label')), ...textValues(outputOf(response, 'specialist'))];
  };
  t.deepEqual(await ask(), ['blue', 'cold']);

  await server.kill();
  t.deepEqual(await ask(), ['blue', 'cold'], 'requests do not need the broker');
  await server.start();
  await end();
  await t.throwsAsync(ask());
});

test('without the address of the broker the router says which variable is missing', async (t) => {
  const context: ProcessContext = {
    settings: new Settings({}),
    logger: testLogger(),
    signal: new AbortController().signal,
    fail: () => undefined,
  };
  await t.throwsAsync(runRouter(context), { message: /NATS_URL is not set/ });
});
