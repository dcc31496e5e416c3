import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import { sleep } from '../../../lib/base/clock.ts';
import { createRandom } from '../../../lib/base/random.ts';
import type { Bus } from '../../../lib/wire/bus.ts';
import type { KeyValue } from '../../../lib/wire/kv.ts';
import { MemoryBroker } from '../../../lib/wire/memory-bus.ts';
import { MemoryKeyValue } from '../../../lib/wire/memory-kv.ts';
import { connectNats, type Nats } from '../../../lib/wire/nats.ts';
import { testLogger } from '../../helpers/logger.ts';
import { type NatsServer, startNatsServer } from '../../helpers/nats-server.ts';

const test = anyTest as TestFn<{ server: NatsServer }>;

test.before(async (t) => {
  t.context.server = await startNatsServer();
});

test.after.always(async (t) => {
  await t.context.server?.stop();
});

/** Closed with the test, however it ends. */
async function open(t: ExecutionContext, server: NatsServer): Promise<Nats> {
  const nats = await connectNats({ servers: server.url, name: 'test', logger: testLogger() });
  t.teardown(() => nats.close());
  return nats;
}

const text = (value: string) => new TextEncoder().encode(value);
const untext = (value: Uint8Array) => new TextDecoder().decode(value);

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1000 && !condition(); tries++) await sleep(10);
}

/** The script that every bus must pass: what it did is compared with what is right, not with the other adapter. */
async function busScript(first: Bus, second: Bus) {
  const heard: string[] = [];
  const own: string[] = [];
  const stop = second.subscribe('a.*.c', (payload, subject) => heard.push(`${subject}=${untext(payload)}`));
  second.subscribe('a.>', (payload) => heard.push(`all=${untext(payload)}`));
  first.subscribe('a.>', (payload) => own.push(untext(payload)));
  await first.flush();
  await second.flush();
  first.publish('a.b.c', text('1'));
  first.publish('a', text('not heard'));
  first.publish('a.b.c.d', text('2'));
  await first.flush();
  await until(() => heard.length === 3);
  stop();
  await second.flush();
  first.publish('a.x.c', text('3'));
  await first.flush();
  await until(() => heard.length === 4);
  return { heard: heard.sort(), own };
}

const BUS_RESULT = { heard: ['a.b.c=1', 'all=1', 'all=2', 'all=3'], own: [] };

test('the bus: wildcards, no echo, unsubscribe, a payload that is too large', async (t) => {
  const first = await open(t, t.context.server);
  const second = await open(t, t.context.server);
  t.deepEqual(await busScript(first.bus, second.bus), BUS_RESULT);
  const tooLarge = () => first.bus.publish('a', new Uint8Array(first.bus.maxPayloadBytes + 1));
  t.throws(tooLarge, { code: 'RESOURCE_EXHAUSTED' });
});

test('the bus in memory behaves alike', async (t) => {
  const broker = new MemoryBroker(10);
  const first = broker.connect();
  t.deepEqual(await busScript(first, broker.connect()), BUS_RESULT);
  t.throws(() => first.publish('a', new Uint8Array(11)), { code: 'RESOURCE_EXHAUSTED' });
});

async function keyValueScript(t: ExecutionContext, kv: KeyValue) {
  t.is(await kv.get('job/ü.1'), undefined);
  t.deepEqual(await kv.keys(), []);
  t.deepEqual(await kv.history('job/ü.1'), []);
  const seen: string[] = [];
  const early = await kv.watch((key, value) => seen.push(`${key}=${value && untext(value)}`));
  const one = await kv.create('job/ü.1', text('one'));
  await t.throwsAsync(kv.create('job/ü.1', text('again')), { code: 'ALREADY_EXISTS' });
  const two = await kv.update('job/ü.1', text('two'), one);
  t.true(two > one);
  await t.throwsAsync(kv.update('job/ü.1', text('late'), one), { code: 'ABORTED' });
  await t.throwsAsync(kv.update('missing', text('x'), 0), { code: 'ABORTED' });
  const three = await kv.update('job/ü.1', text('three'), two);
  const other = await kv.create('sha256:ab', text('other'));
  t.true(other > three);
  const entry = await kv.get('job/ü.1');
  t.deepEqual([entry && untext(entry.value), entry?.revision], ['three', three]);
  t.deepEqual(await kv.keys(), ['job/ü.1', 'sha256:ab']);
  const history = await kv.history('job/ü.1');
  t.deepEqual(
    history.map(({ value, revision }) => [untext(value), revision]),
    [
      ['two', two],
      ['three', three],
    ],
  );
  await until(() => seen.length === 4);
  early();
  t.deepEqual(seen, ['job/ü.1=one', 'job/ü.1=two', 'job/ü.1=three', 'sha256:ab=other']);
  const late: string[] = [];
  const stop = await kv.watch((key, value, revision) => late.push(`${key}=${value && untext(value)}@${revision}`));
  t.deepEqual(late.sort(), [`job/ü.1=three@${three}`, `sha256:ab=other@${other}`].sort());
  stop();
}

test('key-value: compare-and-set, history, keys of any text, watch', async (t) => {
  const nats = await open(t, t.context.server);
  await keyValueScript(t, await nats.keyValue('test_kv', { history: 2 }));
});

test('key-value in memory behaves alike', async (t) => {
  await keyValueScript(t, new MemoryKeyValue('test_kv', { history: 2 }));
});

test('of two writers with the same revision one wins', async (t) => {
  const nats = await Promise.all([open(t, t.context.server), open(t, t.context.server)]);
  const stores = await Promise.all(nats.map((connection) => connection.keyValue('test_race')));
  const [first] = stores as [KeyValue, KeyValue];
  const revision = await first.create('lease', text('0'));
  const results = await Promise.allSettled(stores.map((kv, at) => kv.update('lease', text(String(at)), revision)));
  t.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
});

test('an object of 3 MB comes back; putting it again changes nothing; a missing one is told', async (t) => {
  const nats = await open(t, t.context.server);
  const objects = await nats.objects();
  const random = createRandom(7);
  const bytes = Uint8Array.from({ length: 3_000_000 }, () => random.nextInt(256));
  const digest = await objects.put(bytes);
  t.regex(digest, /^sha256:[0-9a-f]{64}$/);
  t.is(await objects.put(bytes), digest);
  t.deepEqual(Buffer.compare(await objects.get(digest), bytes), 0);
  t.true(await objects.has(digest));
  const missing = `sha256:${'0'.repeat(64)}`;
  t.false(await objects.has(missing));
  await t.throwsAsync(objects.get(missing), { code: 'NOT_FOUND' });
  await t.throwsAsync(objects.get('../etc/passwd'), { code: 'INVALID_ARGUMENT' });
  const empty = await objects.put(new Uint8Array());
  t.is((await objects.get(empty)).byteLength, 0);
});

test('a server that goes and comes back: both are told, subscriptions and records are there again', async (t) => {
  const server = await startNatsServer();
  t.teardown(() => server.stop());
  const first = await open(t, server);
  const second = await open(t, server);
  const kv = await first.keyValue('test_restart');
  const revision = await kv.create('key', text('kept'));
  let heard = 0;
  second.bus.subscribe('x', () => heard++);
  const lost = Promise.all([first, second].map((nats) => new Promise<void>((resolve) => nats.onDisconnect(resolve))));
  const back = Promise.all([first, second].map((nats) => new Promise<void>((resolve) => nats.onReconnect(resolve))));
  await server.kill();
  await lost;
  t.false(first.connected);
  t.notThrows(() => first.bus.publish('x', text('dropped')));
  await server.start();
  await back;
  await second.bus.flush();
  first.bus.publish('x', text('heard'));
  await first.bus.flush();
  await until(() => heard > 0);
  t.is(heard, 1);
  t.is((await kv.get('key'))?.revision, revision);
});

test('no server, or no address: one clear line', async (t) => {
  const server = await startNatsServer();
  await server.stop();
  const url = new URL(server.url);
  const options = { servers: `nats://me:secret@${url.host}`, name: 'test', logger: testLogger(), timeoutMs: 300 };
  const gone = await t.throwsAsync(connectNats(options), { code: 'UNAVAILABLE' });
  t.regex(gone?.message ?? '', new RegExp(`^no NATS server answers at nats://${url.host}: `));
  t.notRegex(gone?.message ?? '', /secret|\n/);
  await t.throwsAsync(connectNats({ ...options, servers: 'nats://' }), { code: 'INVALID_ARGUMENT' });
});
