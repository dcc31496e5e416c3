import test, { type ExecutionContext } from 'ava';
import { after, sleep } from '../../../lib/base/clock.ts';
import { bytesOf } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { dealLanes } from '../../../lib/data/lanes.ts';
import type { LaneSums } from '../../../lib/distill/training-loop.ts';
import { localAverager } from '../../../lib/gradient/local-averager.ts';
import { BusAverager } from '../../../lib/wire/averager.ts';
import type { Bus } from '../../../lib/wire/bus.ts';
import { encodeFrame, type FrameHeader, FrameKind } from '../../../lib/wire/frame.ts';
import { MemoryBroker } from '../../../lib/wire/memory-bus.ts';
import { connectNats } from '../../../lib/wire/nats.ts';
import { averageSubject, gradientSubject } from '../../../lib/wire/subjects.ts';
import { silent } from '../../helpers/logger.ts';
import { startNatsServer } from '../../helpers/nats-server.ts';

const LANES = 5;
const VECTOR = 40_001;
const STEPS = 6;

function sumsOf(step: number, lane: number): LaneSums {
  const random = createRandom(step, lane);
  return { lane, samples: 1 + lane, values: Float32Array.from({ length: VECTOR }, () => random.nextNormal()) };
}

function averagers(buses: readonly Bus[], stallTimeoutMs: number): BusAverager[] {
  const members = dealLanes(LANES, buses.length).map((block, index) => ({ id: `student-${index}`, ...block }));
  return buses.map(
    (bus, self) =>
      new BusAverager({
        bus,
        jobId: 'job-1',
        leaderEpoch: 3,
        view: 2,
        members,
        self,
        vectorSize: VECTOR,
        chunkBytes: 16 * 1024,
        stallTimeoutMs,
        logger: silent,
      }),
  );
}

async function train(averager: BusAverager, firstLane: number, lanes: number): Promise<Float32Array[]> {
  const means: Float32Array[] = [];
  for (let step = 0; step < STEPS; step++) {
    const sums = Array.from({ length: lanes }, (_, index) => sumsOf(step, firstLane + index));
    means.push(await averager.average(step, sums));
  }
  return means;
}

async function assertAllAsOne(
  t: ExecutionContext,
  buses: readonly Bus[],
  stallTimeoutMs = 2_000,
): Promise<BusAverager[]> {
  const alone = localAverager(LANES, VECTOR);
  const expected: Float32Array[] = [];
  for (let step = 0; step < STEPS; step++) {
    expected.push(
      await alone.average(
        step,
        Array.from({ length: LANES }, (_, lane) => sumsOf(step, lane)),
      ),
    );
  }
  const all = averagers(buses, stallTimeoutMs);
  for (const bus of buses) await bus.flush();
  const blocks = dealLanes(LANES, buses.length);
  const results = await Promise.all(
    all.map((averager, index) => train(averager, blocks[index]?.firstLane ?? 0, blocks[index]?.lanes ?? 0)),
  );
  for (const means of results) t.deepEqual(means, expected);
  const reason = new StillhouseError('CANCELLED', 'the test is over');
  for (const averager of all) averager.close(reason);
  return all;
}

test('workers on one bus get the bits of a single worker', async (t) => {
  const broker = new MemoryBroker();
  const all = await assertAllAsOne(t, [broker.connect(), broker.connect(), broker.connect()]);
  for (const { traffic } of all) {
    t.true(traffic.bytesSent > 0 && traffic.bytesReceived > 0);
    t.is(traffic.resendRequests, 0);
  }
});

test('what is lost or damaged on the way is asked for again', async (t) => {
  const broker = new MemoryBroker();
  const random = createRandom(7);
  const lossy = (): Bus => {
    const bus = broker.connect();
    return {
      maxPayloadBytes: bus.maxPayloadBytes,
      flush: () => bus.flush(),
      subscribe: (subject, handler) => bus.subscribe(subject, handler),
      publish: (subject, payload) => {
        const fate = random.nextFloat();
        if (fate < 0.1) return;
        if (fate < 0.2) payload[payload.length - 1] = (payload.at(-1) as number) ^ 1;
        bus.publish(subject, payload);
      },
    };
  };
  // The averager's own timer does not keep a process alive.
  t.teardown(after(60_000, () => t.fail('the averaging did not end')));
  const all = await assertAllAsOne(t, [lossy(), lossy()], 50);
  t.true(all.some(({ traffic }) => traffic.corruptFrames > 0));
  t.true(all.some(({ traffic }) => traffic.resendRequests > 0));
});

test('over a real nats-server, also when it comes back only after the first step was sent', async (t) => {
  const server = await startNatsServer();
  const connections = await Promise.all(
    [0, 1].map((index) => connectNats({ servers: server.url, name: `student-${index}`, logger: silent })),
  );
  t.teardown(async () => {
    for (const connection of connections) await connection.close();
    await server.stop();
  });
  await assertAllAsOne(
    t,
    connections.map(({ bus }) => bus),
  );
  const [first, second] = averagers(
    connections.map(({ bus }) => bus),
    100,
  ) as [BusAverager, BusAverager];
  await server.kill();
  const blocks = dealLanes(LANES, 2);
  const training = Promise.all([
    train(first, 0, blocks[0]?.lanes ?? 0),
    train(second, blocks[1]?.firstLane ?? 0, blocks[1]?.lanes ?? 0),
  ]);
  await server.start();
  const [a, b] = await training;
  t.deepEqual(a, b);
  first.close(new StillhouseError('CANCELLED', 'over'));
  second.close(new StillhouseError('CANCELLED', 'over'));
});

test('frames of another view, another epoch or without sense are not heard', async (t) => {
  const broker = new MemoryBroker();
  const stranger = broker.connect();
  const [first, second] = averagers([broker.connect(), broker.connect()], 2_000) as [BusAverager, BusAverager];
  const good: FrameHeader = {
    kind: FrameKind.partialSum,
    leaderEpoch: 3,
    view: 2,
    step: 0,
    part: 0,
    firstLane: 2,
    lanes: 2,
    chunk: 0,
    chunks: 1,
    samples: 9,
  };
  const poison = bytesOf(new Float32Array(4096).fill(1e9));
  const send = (change: Partial<FrameHeader>, payload: Uint8Array = poison) =>
    stranger.publish(gradientSubject('job-1', 'student-0'), encodeFrame({ ...good, ...change }, payload));
  send({ view: 1 });
  send({ leaderEpoch: 2 });
  t.is(first.traffic.corruptFrames, 0);
  const senseless: [Partial<FrameHeader>, Uint8Array?][] = [
    [{ kind: 9 }],
    [{ part: 7 }],
    [{}, new Uint8Array(3)],
    [{ kind: FrameKind.resend }, new Uint8Array(3)],
    [{ kind: FrameKind.resend }, bytesOf(Uint32Array.of(1, 77))],
    [{ kind: FrameKind.resend }, bytesOf(Uint32Array.of(5, 1))],
  ];
  for (const [change, payload] of senseless) send(change, payload);
  await stranger.flush();
  await sleep(5);
  t.is(first.traffic.corruptFrames, senseless.length);
  const sums = (from: number, to: number) => Array.from({ length: to - from }, (_, lane) => sumsOf(0, from + lane));
  const [a, b] = await Promise.all([first.average(0, sums(0, 2)), second.average(0, sums(2, LANES))]);
  t.deepEqual(a, await localAverager(LANES, VECTOR).average(0, sums(0, LANES)));
  t.deepEqual(b, a);
});

test('a worker that has finished answers those that missed its last part, and hears no later averages', async (t) => {
  const broker = new MemoryBroker();
  const lossy = broker.connect();
  let losing = false;
  // The last mean of the first worker never arrives by itself.
  const publish: Bus['publish'] = (subject, payload) => {
    if (!losing) lossy.publish(subject, payload);
  };
  const [first, second] = averagers([{ ...lossy, publish }, broker.connect()], 100) as [BusAverager, BusAverager];
  const sums = (from: number, to: number) => Array.from({ length: to - from }, (_, lane) => sumsOf(0, from + lane));
  const { lanes = 0 } = dealLanes(LANES, 2)[0] ?? {};
  const late = sleep(20).then(() => {
    losing = false;
  });
  const of = [first.average(0, sums(0, lanes)), second.average(0, sums(lanes, LANES))] as const;
  losing = true;
  const mean = await of[0];
  first.finish();
  await late;
  t.deepEqual(await of[1], mean);
  t.true(second.traffic.resendRequests > 0);
  const { bytesReceived } = first.traffic;
  broker.connect().publish(averageSubject('job-1'), new Uint8Array(100));
  await sleep(5);
  t.is(first.traffic.bytesReceived, bytesReceived);
  t.is(first.traffic.corruptFrames, 0);
  for (const averager of [first, second]) averager.close(new StillhouseError('CANCELLED', 'over'));
});

test('closing rejects what is awaited, and what is asked afterwards', async (t) => {
  const broker = new MemoryBroker();
  const [averager] = averagers([broker.connect(), broker.connect()], 2_000) as [BusAverager];
  const sums = [sumsOf(0, 0), sumsOf(0, 1)];
  const waiting = averager.average(0, sums);
  averager.close(new StillhouseError('CANCELLED', 'given up'));
  await t.throwsAsync(waiting, { message: 'given up' });
  await t.throwsAsync(averager.average(0, sums), { message: 'given up' });
});
