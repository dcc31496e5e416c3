import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { dial, RpcServer, unary } from '../../../lib/wire/grpc.ts';
import { testLogger } from '../../helpers/logger.ts';

/** A teacher service whose status call fails with `error`, or answers. */
async function startTeacher(answer: () => Promise<{ workerId: string; jobs: [] }>) {
  const server = new RpcServer(testLogger());
  server.add('Teacher', {
    async StreamLogits(call) {
      for await (const request of call) {
        const { batch } = request as { batch?: { key: object; sampleIds: number[] } };
        if (batch === undefined) throw new StillhouseError('INVALID_ARGUMENT', 'no batch', { field: 'batch' });
        call.write({ logits: { key: batch.key, samples: batch.sampleIds.length, classes: 1 } });
      }
    },
    GetTeacherStatus: () => answer(),
  });
  const port = await server.listen('127.0.0.1', 0);
  return { server, port, address: `127.0.0.1:${port}` };
}

test('a unary call answers, and a thrown error arrives with its code, field and hint', async (t) => {
  const error = new StillhouseError('FAILED_PRECONDITION', 'the data set “x” is missing: 100% gone', {
    field: 'data.dataset',
    hint: 'führe `stillhouse data` aus (100%)',
  });
  let fails = false;
  const { server, address } = await startTeacher(async () => {
    if (fails) throw error;
    return { workerId: 'teacher-1', jobs: [] };
  });
  const client = dial('Teacher', address);
  const status = await unary(client, 'GetTeacherStatus', {}, { timeoutMs: 5_000 });
  t.is(status.workerId, 'teacher-1');
  fails = true;
  const thrown = await t.throwsAsync(unary(client, 'GetTeacherStatus', {}, { timeoutMs: 5_000 }), {
    instanceOf: StillhouseError,
  });
  t.like(thrown, { code: error.code, message: error.message, field: error.field, hint: error.hint });
  client.close();
  await server.stop(100);
});

test('anything else that a handler throws becomes INTERNAL', async (t) => {
  const { server, address } = await startTeacher(async () => {
    throw new TypeError('broken');
  });
  const client = dial('Teacher', address);
  const thrown = await t.throwsAsync(unary(client, 'GetTeacherStatus', {}, { timeoutMs: 5_000 }));
  t.like(thrown, { code: 'INTERNAL', message: 'broken' });
  client.close();
  await server.stop(100);
});

test('a bidirectional stream carries messages and ends with the status of the error', async (t) => {
  const { server, address } = await startTeacher(async () => ({ workerId: '', jobs: [] }));
  const client = dial('Teacher', address);
  const call = client.streamLogits();
  const seen: number[] = [];
  const ended = new Promise<Error & { code?: number }>((resolve) => call.on('error', resolve));
  call.on('data', (reply) => {
    seen.push(reply.logits.samples);
    call.write({ open: {} });
  });
  call.write({ batch: { key: { view: 1, step: 2, lane: 3 }, sampleIds: [1, 2, 3] } });
  const error = await ended;
  t.deepEqual(seen, [3]);
  t.is(error.code, 3);
  client.close();
  await server.stop(100);
});

test('an aborted call and one past its deadline reject with their codes; the handler sees it', async (t) => {
  const server = new RpcServer(testLogger());
  let entered = () => {};
  let left = () => {};
  server.add('Teacher', {
    StreamLogits: async () => {},
    GetTeacherStatus: (_request, { signal }) =>
      new Promise((_, reject) => {
        entered();
        signal.addEventListener('abort', () => {
          left();
          reject(signal.reason);
        });
      }),
  });
  const port = await server.listen('127.0.0.1', 0);
  const client = dial('Teacher', `127.0.0.1:${port}`);
  const late = await t.throwsAsync(unary(client, 'GetTeacherStatus', {}, { timeoutMs: 50 }));
  t.like(late, { code: 'DEADLINE_EXCEEDED' });
  const controller = new AbortController();
  const hasEntered = new Promise<void>((resolve) => {
    entered = resolve;
  });
  const hasLeft = new Promise<void>((resolve) => {
    left = resolve;
  });
  const call = unary(client, 'GetTeacherStatus', {}, { timeoutMs: 60_000, signal: controller.signal });
  await hasEntered;
  controller.abort();
  t.like(await t.throwsAsync(call), { code: 'CANCELLED' });
  await hasLeft;
  client.close();
  await server.stop(2_000);
});

test('a port in use and an unreachable server are told in one clear line', async (t) => {
  const { server, port, address } = await startTeacher(async () => ({ workerId: '', jobs: [] }));
  const second = new RpcServer(testLogger());
  const inUse = await t.throwsAsync(second.listen('127.0.0.1', port));
  t.like(inUse, { code: 'UNAVAILABLE', message: `port ${port} on 127.0.0.1 is in use` });
  await second.stop(0);
  await server.stop(0);
  const client = dial('Teacher', address);
  const gone = await t.throwsAsync(unary(client, 'GetTeacherStatus', {}, { timeoutMs: 5_000 }));
  t.like(gone, { code: 'UNAVAILABLE' });
  t.regex(gone?.message ?? '', new RegExp(`${address} cannot be reached`));
  client.close();
});

test('health answers on the business port and on the plain one, and follows setServing', async (t) => {
  const { server, address } = await startTeacher(async () => ({ workerId: '', jobs: [] }));
  const healthPort = await server.listenHealth('127.0.0.1', 0);
  const clients = [dial('Health', address), dial('Health', `127.0.0.1:${healthPort}`)];
  const check = (service: string) =>
    Promise.all(
      clients.map(async (client) => (await unary(client, 'Check', { service }, { timeoutMs: 5_000 })).status),
    );
  t.deepEqual(await check(''), ['NOT_SERVING', 'NOT_SERVING']);
  server.setServing(true);
  t.deepEqual(await check('stillhouse.v1.Teacher'), ['SERVING', 'SERVING']);
  t.deepEqual(await check(''), ['SERVING', 'SERVING']);
  server.setServing(false);
  t.deepEqual(await check(''), ['NOT_SERVING', 'NOT_SERVING']);
  for (const client of clients) client.close();
  await server.stop(0);
});

test('messages of many megabytes pass both ways', async (t) => {
  const big = 'x'.repeat(20 * 1024 * 1024);
  const server = new RpcServer(testLogger());
  server.add('Inference', {
    ServerLive: () => ({ live: true }),
    ServerReady: () => ({ ready: true }),
    ModelReady: () => ({ ready: true }),
    ServerMetadata: () => ({ name: big }),
    ModelMetadata: (request) => ({ name: String(request.name.length) }),
    ModelInfer: () => ({}),
  });
  const client = dial('Inference', `127.0.0.1:${await server.listen('127.0.0.1', 0)}`);
  const metadata = await unary(client, 'ServerMetadata', {}, { timeoutMs: 20_000 });
  t.is(metadata.name.length, big.length);
  t.is((await unary(client, 'ModelMetadata', { name: big }, { timeoutMs: 20_000 })).name, String(big.length));
  client.close();
  await server.stop(0);
});
