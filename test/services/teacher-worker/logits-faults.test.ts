/** Teachers that are busy, broken or leaving: every batch gets an answer or a reason, and its credit back. */
import { truncate } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { sleep } from '../../../lib/base/clock.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { Compute } from '../../../lib/distill/compute.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import type { LogitsReply__Output } from '../../../lib/wire/generated/stillhouse/v1/LogitsReply.ts';
import type { LogitsClient } from '../../helpers/logits-client.ts';
import { type ServedOptions, serveRandomTeachers } from '../../helpers/served-teacher.ts';
import { RECORD_BYTES } from '../../helpers/small-dataset.ts';

configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
const compute = new Compute();
test.after.always(() => compute.close());

/** Enough to keep the compute thread for a second or so. */
const BUSY_IMAGES = 4_000;

async function serve(t: ExecutionContext, options: Omit<ServedOptions, 'compute'> = {}) {
  const place = await serveRandomTeachers(t, { compute, ...options });
  const program = await place.reference();
  await program.predict(new Float32Array(3072), 1);
  let isBusy = false;
  /** Nothing is computed for the teacher until it resolves. */
  const keepBusy = async () => {
    isBusy = true;
    await program.predict(new Float32Array(BUSY_IMAGES * 3072), BUSY_IMAGES);
    isBusy = false;
  };
  return { ...place, keepBusy, isBusy: () => isBusy };
}

function batch(step: number, changes = {}) {
  return { key: { view: 1, step, lane: 0 }, sampleIds: [step % 40, (step + 1) % 40], epoch: 0, ...changes };
}

async function replies(client: LogitsClient, count: number): Promise<LogitsReply__Output[]> {
  const all: LogitsReply__Output[] = [];
  while (all.length < count) all.push(await client.next());
  return all;
}

function stepsOf(all: readonly LogitsReply__Output[], kind: 'logits' | 'refused') {
  return all.flatMap((reply) => (reply[kind]?.key ? [reply[kind].key.step] : []));
}

test.serial('logits that are none are refused by name, and the stream goes on', async (t) => {
  for (const job of ['', 'averaging: {reproducible: false}']) {
    const { connect, logits } = await serve(t, { teachers: { big: 1e39 }, job });
    const { client } = await connect();
    const [first, second] = [await client.ask(batch(3)), await client.ask(batch(4))];
    t.is(first.refused?.code, 'DATA_LOSS');
    t.regex(
      first.refused?.message ?? '',
      /^teacher big: .*(Infinity|NaN) for row 0, class (ash|beech|cedar|elm), in a batch of the samples 3, 4/,
    );
    t.deepEqual([first.refused?.key?.step, second.refused?.key?.step], [3, 4]);
    t.like(logits.status()[0], { batchesRefused: 2, samplesServed: 0, samplesQueued: 0 });
  }
});

test.serial('a damaged sample costs its own batch only, also when batches are computed together', async (t) => {
  const job = 'averaging: {reproducible: false}, distill: {merge: {images: 6, delayMs: 60000}}';
  const { connect, root } = await serve(t, { job });
  await truncate(path.join(root, 'trees', 'part-0.bin'), 38 * RECORD_BYTES);
  const { client } = await connect();
  for (const step of [5, 37, 11]) client.send({ batch: batch(step) });
  const all = await replies(client, 3);
  t.deepEqual(stepsOf(all, 'logits').sort(), [11, 5]);
  const refused = all.find((reply) => reply.refused)?.refused;
  t.is(refused?.key?.step, 37);
  t.is(refused?.code, 'DATA_LOSS');
  t.regex(refused?.message ?? '', /part-0\.bin/);
});

test.serial('a full queue refuses what it cannot take, and answers the rest', async (t) => {
  const { connect, keepBusy, logits } = await serve(t, { service: { queue: { samples: 10, bytes: 10_000 } } });
  const { client } = await connect();
  const busy = keepBusy();
  for (let step = 0; step < 7; step++) client.send({ batch: batch(step) });
  const refused = await replies(client, 2);
  t.deepEqual(stepsOf(refused, 'refused'), [5, 6]);
  t.deepEqual(
    refused.map((reply) => reply.refused?.code),
    ['RESOURCE_EXHAUSTED', 'RESOURCE_EXHAUSTED'],
  );
  t.true(refused.every((reply) => (reply.refused?.retryAfterMs ?? 0) > 0));
  t.like(logits.status()[0], { samplesQueued: 10, batchesRefused: 2 });
  await busy;
  t.deepEqual(stepsOf(await replies(client, 5), 'logits'), [0, 1, 2, 3, 4]);
  t.truthy((await client.ask(batch(5))).logits);
  while (client.loads.length === 0) await sleep(5);
  t.like(client.loads.at(-1), { queuedSamples: 0, draining: false }, 'whoever waits hears that it is idle');
  t.true((client.loads.at(-1)?.samplesPerSecond ?? 0) > 0);
});

test.serial('deadlines pass and students change their minds while a teacher is busy', async (t) => {
  const { connect, keepBusy, isBusy, logits } = await serve(t);
  const { client } = await connect();
  const busy = keepBusy();
  // Three are on their way to the engine; what comes behind them waits.
  for (let step = 0; step < 3; step++) client.send({ batch: batch(step) });
  client.send({ batch: batch(3, { deadlineMs: 30 }) });
  client.send({ batch: batch(4) });
  client.send({ batch: batch(5, { deadlineMs: 600_000 }) });
  client.send({ cancel: { key: batch(4).key } });
  client.send({ cancel: { key: batch(1).key } });
  client.send({ cancel: { key: batch(77).key } });
  const gone = await replies(client, 3);
  t.true(isBusy(), 'nobody waits for the engine to hear that');
  t.deepEqual(gone.map(({ refused }) => [refused?.key?.step, refused?.code]).sort(), [
    [1, 'CANCELLED'],
    [3, 'DEADLINE_EXCEEDED'],
    [4, 'CANCELLED'],
  ]);
  t.deepEqual(client.waited, [1, 2, 3, 4, 5], 'the teacher was idle when the first one came');
  client.send({ cancel: { key: batch(0).key } });
  await busy;
  t.deepEqual(stepsOf(await replies(client, 3), 'logits'), [0, 2, 5], 'what is computed is answered, wanted or not');
  t.deepEqual(client.begun, [2, 5]);
  t.like(logits.status()[0], { samplesComputed: 6, samplesServed: 6, batchesRefused: 3, samplesQueued: 0 });
  const again = await client.ask(batch(1));
  t.is(again.logits?.samplesStored, 0, 'what was taken back has not been computed');
  t.deepEqual([client.waited.length, client.begun.length], [5, 2], 'who is idle says nothing of it');
});

test.serial('what is needed first is answered first', async (t) => {
  const { connect, keepBusy } = await serve(t);
  const { client } = await connect();
  const busy = keepBusy();
  for (let step = 0; step < 6; step++) client.send({ batch: batch(step, { neededInMs: 5_000 }) });
  client.send({ batch: batch(9) });
  t.deepEqual(stepsOf(await replies(client, 7), 'logits'), [0, 1, 2, 9, 3, 4, 5], 'three were on their way already');
  await busy;
});

test.serial('a batch without a credit ends the stream, and so does a key that is outstanding', async (t) => {
  const { connect, keepBusy } = await serve(t);
  const { client, opened } = await connect();
  const busy = keepBusy();
  for (let step = 0; step <= opened.credits; step++) client.send({ batch: batch(step) });
  t.like(await client.ended, { code: 'RESOURCE_EXHAUSTED' });
  const { client: second } = await connect();
  for (let count = 0; count < 2; count++) second.send({ batch: batch(1000) });
  t.regex((await second.ended)?.message ?? '', /key 1\/1000\/0 is outstanding already/);
  await busy;
});

test.serial('a student that asks without reading is read no more, until it reads', async (t) => {
  const { connect, logits } = await serve(t);
  const { client } = await connect();
  t.truthy((await client.ask(batch(0))).logits);
  client.pause();
  const count = 3_000;
  for (let sent = 0; sent < count; sent++) client.send({ batch: batch(0) });
  let [answered, before] = [0, -1];
  while (answered !== before || answered < 2) {
    await sleep(200);
    [before, answered] = [answered, logits.status()[0]?.batchesServed ?? 0];
  }
  t.true(answered < count / 2, `${answered} answers were kept for it`);
  client.resume();
  t.is(stepsOf(await replies(client, count), 'logits').length, count);
});

test.serial('a stream that is cut leaves no trace but its answers', async (t) => {
  const { connect, keepBusy, logits } = await serve(t);
  const { client } = await connect();
  const busy = keepBusy();
  for (let step = 0; step < 20; step++) client.send({ batch: batch(step) });
  const { client: other } = await connect();
  other.send({ batch: batch(50) });
  while ((logits.status()[0]?.samplesQueued ?? 0) < 42) await sleep(5);
  client.cut();
  await busy;
  t.is((await other.next()).logits?.key?.step, 50);
  t.like(logits.status()[0], { samplesComputed: 4, samplesServed: 2, samplesQueued: 0 });
  t.is((await other.ask(batch(0))).logits?.samplesStored, 2, 'it was being computed');
  t.is((await other.ask(batch(2))).logits?.samplesStored, 0);
  other.end();
  t.is(await other.ended, null);
});

test.serial('a teacher that is served no more ends its streams', async (t) => {
  const { connect, stop, logits } = await serve(t);
  const { client } = await connect();
  t.truthy((await client.ask(batch(0))).logits);
  const withdrawn = logits.withdraw('job-1');
  t.like(await client.ended, { code: 'UNAVAILABLE' });
  t.regex((await client.ended)?.message ?? '', /teacher big of job job-1 is served no more/);
  await withdrawn;
  const error = await t.throwsAsync<StillhouseError>(connect(), { instanceOf: StillhouseError });
  t.is(error?.code, 'UNAVAILABLE', 'it may be served again in a moment');
  await stop();
});

test.serial('a worker that is drained answers what it has taken on, refuses the rest by name and goes', async (t) => {
  const { connect, keepBusy, logits } = await serve(t);
  const { client } = await connect();
  const { client: idle } = await connect();
  const busy = keepBusy();
  for (let step = 0; step < 5; step++) client.send({ batch: batch(step) });
  while ((logits.status()[0]?.samplesQueued ?? 0) < 10) await sleep(5);
  const drained = logits.drain(60_000);
  while (idle.loads.length < 2) await sleep(5);
  t.like(idle.loads[0], { queuedSamples: 2, draining: false }, 'another student has made it busy');
  t.true(idle.loads[1]?.draining);
  const late = await client.ask(batch(9));
  t.like(late.refused, { code: 'UNAVAILABLE' });
  t.true((late.refused?.retryAfterMs ?? 0) > 0);
  await t.throwsAsync(connect(), { message: /is drained/ });
  await busy;
  t.deepEqual(stepsOf(await replies(client, 5), 'logits'), [0, 1, 2, 3, 4]);
  await drained;
  for (const { ended } of [client, idle]) t.like(await ended, { code: 'UNAVAILABLE' });
});

test.serial('a drain does not wait for longer than it may', async (t) => {
  const { connect, keepBusy, isBusy, logits } = await serve(t);
  const { client } = await connect();
  const busy = keepBusy();
  client.send({ batch: batch(0) });
  while ((logits.status()[0]?.samplesQueued ?? 0) < 2) await sleep(5);
  await logits.drain(10);
  t.true(isBusy());
  t.regex((await client.ended)?.message ?? '', /has been drained/);
  await busy;
});
