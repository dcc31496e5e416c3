import test from 'ava';
import { sleep } from '../../../../lib/base/clock.ts';
import { dial, unary } from '../../../../lib/wire/grpc.ts';
import { OipClient, outputOf } from '../../../../lib/wire/oip/client.ts';
import { rawOfTensor, textTensor, textValues } from '../../../../lib/wire/oip/raw-tensor.ts';
import { serveInference } from '../../../../lib/wire/oip/server.ts';
import type { OipTensor } from '../../../../lib/wire/oip/types.ts';
import { testLogger } from '../../../helpers/logger.ts';
import { EchoBackend } from '../../../helpers/oip-echo.ts';

const LIMITS = { timeoutMs: 10_000 };
const FLOATS: OipTensor = { name: 'x', datatype: 'FP32', shape: [2, 1], values: Float32Array.of(1.5, Number.NaN) };

async function start(t: import('ava').ExecutionContext) {
  const backend = new EchoBackend();
  const ports = { host: '127.0.0.1', port: 0, httpPort: 0, healthPort: 0 };
  const server = await serveInference(backend, ports, testLogger());
  t.teardown(() => server.stop(1_000));
  const address = `127.0.0.1:${server.port}`;
  const client = new OipClient(address);
  t.teardown(() => client.close());
  return { backend, client, address, server };
}

test('server and model are described', async (t) => {
  const { client, address, backend } = await start(t);
  const raw = dial('Inference', address);
  t.teardown(() => raw.close());
  t.deepEqual(await unary(raw, 'ServerLive', {}, LIMITS), { live: true });
  const { name, extensions } = await unary(raw, 'ServerMetadata', {}, LIMITS);
  t.deepEqual([name, extensions], ['echo', ['binary_tensor_data']]);
  t.true(await client.serverReady(LIMITS));
  backend.isReady = false;
  t.false(await client.serverReady(LIMITS));
  t.true(await client.modelReady('echo', '1', LIMITS));
  t.false(await client.modelReady('other', '', LIMITS));
  t.deepEqual((await client.metadata('echo', '', LIMITS)).inputs, [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }]);
  await t.throwsAsync(client.metadata('other', '', LIMITS), { message: /no model "other"/ });
});

test('tensors, parameters and the id go there and back', async (t) => {
  const { client, backend } = await start(t);
  const inputs = [FLOATS, textTensor('b', ['cat', ''])];
  const response = await client.infer({ modelName: 'echo', id: 'q', parameters: { p: 2n }, inputs }, LIMITS);
  t.is(response.id, 'q');
  t.deepEqual(response.parameters, { text: 'a', flag: true, real: 1, whole: 7n });
  t.deepEqual(backend.last?.parameters, { p: 2n });
  t.deepEqual(Buffer.from(rawOfTensor(outputOf(response, 'x'))), Buffer.from(rawOfTensor(FLOATS)));
  t.deepEqual(textValues(outputOf(response, 'b')), ['cat', '']);
  t.throws(() => outputOf(response, 'y'), { message: /no output "y"/ });
  const some = await client.infer({ modelName: 'echo', inputs, outputs: ['b'] }, LIMITS);
  t.deepEqual(
    some.outputs.map(({ name }) => name),
    ['b'],
  );
});

test('messages beyond gRPC’s default of 4 MiB pass', async (t) => {
  const { client } = await start(t);
  const values = new Uint8Array(20 * 1024 * 1024).fill(7);
  const large: OipTensor = { name: 'x', datatype: 'UINT8', shape: [values.length], values };
  const response = await client.infer({ modelName: 'echo', inputs: [large] }, LIMITS);
  t.is(outputOf(response, 'x').values.length, values.length);
});

test('errors arrive as they were thrown; deadline and cancellation reach the backend', async (t) => {
  const { client, backend } = await start(t);
  const refused = client.infer({ modelName: 'echo', inputs: [FLOATS, FLOATS] }, LIMITS);
  await t.throwsAsync(refused, { message: /input "x" is given twice/ });
  let open = () => {};
  backend.hold = new Promise<void>((resolve) => {
    open = resolve;
  });
  const late = client.infer({ modelName: 'echo', inputs: [FLOATS] }, { timeoutMs: 30 });
  t.is(((await t.throwsAsync(late)) as { code?: string } | undefined)?.code, 'DEADLINE_EXCEEDED');
  backend.signal = undefined;
  const leaving = new AbortController();
  const cancelled = client.infer({ modelName: 'echo', inputs: [FLOATS] }, { ...LIMITS, signal: leaving.signal });
  while (backend.signal === undefined) await sleep(1);
  const { signal } = backend as { signal: AbortSignal };
  leaving.abort();
  t.is(((await t.throwsAsync(cancelled)) as { code?: string } | undefined)?.code, 'CANCELLED');
  while (!signal.aborted) await sleep(1);
  open();
});
