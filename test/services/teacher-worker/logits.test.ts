/** What students get from teachers over gRPC: real models of random weights in the compute thread, data on disk. */
import test, { type ExecutionContext } from 'ava';
import { sleep } from '../../../lib/base/clock.ts';
import { type ErrorCode, StillhouseError } from '../../../lib/base/errors.ts';
import type { Dataset } from '../../../lib/data/dataset.ts';
import { NO_VIEWS, partnersOf, VIEW_PROTOCOL, type ViewRule } from '../../../lib/data/views.ts';
import { Compute, type Program } from '../../../lib/distill/compute.ts';
import type { ProgramSpec } from '../../../lib/distill/step-spec.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import type { Logits__Output } from '../../../lib/wire/generated/stillhouse/v1/Logits.ts';
import type { LogitsReply__Output } from '../../../lib/wire/generated/stillhouse/v1/LogitsReply.ts';
import type { Open } from '../../../lib/wire/generated/stillhouse/v1/Open.ts';
import { ServingCounters } from '../../../services/teacher-worker/serving-counters.ts';
import type { LogitsClient } from '../../helpers/logits-client.ts';
import { onePool } from '../../helpers/one-pool.ts';
import { type ServedOptions, serveRandomTeachers } from '../../helpers/served-teacher.ts';

/** Counts what is compiled. */
class CountingCompute extends Compute {
  opened = 0;

  override open(spec: ProgramSpec): Promise<Program> {
    this.opened += 1;
    return super.open(spec);
  }
}

configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
const compute = new CountingCompute();
test.after.always(() => compute.close());

const VIEWS = { ...NO_VIEWS, flip: true, shift: 2 };

function serve(t: ExecutionContext, options: Omit<ServedOptions, 'compute'> = {}) {
  return serveRandomTeachers(t, { compute, ...options });
}

function logitsOf(reply: LogitsReply__Output): Logits__Output {
  if (reply.logits) return reply.logits;
  throw new Error(`no logits: ${JSON.stringify(reply)}`);
}

function floats(reply: LogitsReply__Output): Float32Array {
  const { values } = logitsOf(reply);
  return new Float32Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength));
}

function batch(step: number, sampleIds: readonly number[], changes = {}) {
  return { key: { view: 1, step, lane: 0 }, sampleIds: [...sampleIds], epoch: 0, ...changes };
}

function load(dataset: Dataset, ids: readonly number[], epoch: number): Promise<Float32Array> {
  return dataset.load(ids, { rule: { ...VIEWS, seed: 5, number: epoch }, partners: null });
}

test.serial('logits are those of the same view of the same samples, for the classes of the student', async (t) => {
  const { dataset, connect, reference, models, ready, logits } = await serve(t);
  const { client, opened } = await connect({ classNames: ['elm', 'ash'] });
  const digests = { modelDigest: models[0]?.modelDigest ?? '', datasetDigest: dataset.digest };
  t.like(opened, { ...digests, viewProtocol: VIEW_PROTOCOL, teacherClassNames: [...dataset.classNames] });
  t.deepEqual(opened.load, { queuedSamples: 0, samplesPerSecond: 0, draining: false });
  t.true((ready[0]?.parameters ?? 0) > 1000);
  const program = await reference();
  const ids = [3, 9, 31, 0, 17];
  const all = await program.predict(await load(dataset, ids, 4), ids.length);
  const reply = logitsOf(await client.ask(batch(0, ids, { epoch: 4 })));
  t.like(reply, { key: { view: 1, step: 0, lane: 0 }, samples: 5, classes: 2, samplesStored: 0 });
  t.deepEqual(
    [...new Float32Array(new Uint8Array(reply.values).buffer)],
    ids.flatMap((_, row) => [all[row * 4 + 3] as number, all[row * 4] as number]),
  );
  // An independent second stream, with a dustbin for the two classes that are not its own.
  const dustbin = await connect({ classNames: ['elm', 'ash'], dustbinTemperature: 2 });
  const rows = floats(await dustbin.client.ask(batch(0, ids, { epoch: 4 })));
  for (const row of ids.keys()) {
    const [ash, beech, cedar, elm] = all.subarray(row * 4, row * 4 + 4) as unknown as [number, number, number, number];
    t.deepEqual([...rows.subarray(row * 3, row * 3 + 2)], [elm, ash]);
    const joined = 2 * Math.log(Math.exp(beech / 2) + Math.exp(cedar / 2));
    t.true(Math.abs((rows[row * 3 + 2] as number) - joined) < 1e-6 * (1 + Math.abs(joined)), `row ${row}`);
  }
  t.like(logits.status()[0], { samplesServed: 10, samplesComputed: 10, batchesServed: 2, bytesSent: 5 * 5 * 4 });
  await program.close();
});

test.serial('two teachers of one worker answer each for itself, and tell how it goes', async (t) => {
  const { dataset, connect, reference, models, progress } = await serve(t, { teachers: { big: 1, other: 2 } });
  const ids = [1, 2, 3];
  for (const [index, { teacher, modelDigest }] of models.entries()) {
    const { client } = await connect({ teacher, modelDigest });
    const program = await reference(index);
    t.deepEqual(floats(await client.ask(batch(0, ids))), await program.predict(await load(dataset, ids, 0), 3));
    await program.close();
  }
  while ((progress.at(-1)?.teachers?.[1]?.samplesServed ?? 0) === 0) await sleep(50);
  t.like(progress.at(-1)?.teachers?.[1], {
    workerId: 'teacher-1',
    teacher: 'other',
    samplesServed: 3,
    samplesQueued: 0,
  });
  t.true(Number(progress.at(-1)?.teachers?.[1]?.computeMs) > 0);
});

test.serial('a batch that is asked for again is answered with the recorded bits, by any stream', async (t) => {
  const { connect, logits } = await serve(t);
  const { client } = await connect();
  const first = floats(await client.ask(batch(7, [5, 6, 7])));
  client.close();
  const { client: second } = await connect();
  const again = await second.ask(batch(7, [5, 6, 7]));
  t.deepEqual(floats(again), first);
  t.is(again.logits?.samplesStored, 3);
  t.like(logits.status()[0], { samplesServed: 3, samplesRepeated: 3, samplesComputed: 3, batchesServed: 2 });
  const other = await second.ask(batch(7, [5, 6, 8]));
  t.deepEqual(floats(other).subarray(0, 8), first.subarray(0, 8));
  t.notDeepEqual(floats(other).subarray(8), first.subarray(8), 'the same key does not make another batch the same');
  const { client: encoded } = await connect({ format: { encoding: 'LOGITS_ENCODING_FP16' } });
  t.is(logitsOf(await encoded.ask(batch(7, [5, 6, 7]))).values.length, 3 * 4 * 2);
  t.like(logits.status()[0], { samplesRepeated: 3, samplesComputed: 9 });
});

test.serial('stored logits answer with the bits of computed ones, also after the worker has gone', async (t) => {
  const views = '{flip: true, shift: 2, mixup: 0.4, cycle: 2}';
  const place = await serve(t, { views, job: 'distill: {cache: {encoding: fp16}}' });
  const { dataset, root } = place;
  const ids = dataset.idsOf('train').subarray(0, 32);
  const rule = (epoch: number): ViewRule => ({ ...VIEWS, mixup: 0.4, cycle: 2, seed: 5, number: epoch % 2 });
  const asked = (step: number, part: Uint32Array, epoch: number) => {
    const partnerIds = Array.from(partnersOf(part, onePool(ids), rule(epoch)) as Uint32Array);
    return batch(step, [...part], { epoch, partnerIds });
  };
  const { client } = await place.connect();
  const halves = [ids.slice(0, 16), ids.slice(16)] as const;
  const fresh: Float32Array[] = [];
  for (const [step, half] of halves.entries()) fresh.push(floats(await client.ask(asked(step, half, 0))));
  t.like(place.logits.status()[0], { samplesComputed: 32, samplesCached: 0 });
  const reversed = await client.ask(asked(2, halves[0].slice().reverse(), 2));
  t.is(reversed.logits?.samplesStored, 16);
  const turned = Array.from({ length: 16 }, (_, row) => [...floats(reversed).subarray(row * 4, row * 4 + 4)]).reverse();
  t.deepEqual(turned.flat(), [...(fresh[0] as Float32Array)]);
  // A batch of which a part is new is computed; what was stored stays as it was.
  const mixed = dataset.idsOf('train').subarray(24, 40);
  const partly = await client.ask(asked(3, mixed, 4));
  t.is(partly.logits?.samplesStored, 8);
  t.deepEqual(floats(partly).subarray(0, 32), (fresh[1] as Float32Array).subarray(32));
  t.like(place.logits.status()[0], { samplesComputed: 48, samplesCached: 24, samplesServed: 64 });
  await place.stop();
  const next = await serve(t, { views, job: 'distill: {cache: {encoding: fp16}}', root });
  const { client: later } = await next.connect();
  for (const [step, half] of halves.entries()) {
    t.deepEqual(floats(await later.ask(asked(step, half, 6))), fresh[step]);
  }
  t.like(next.logits.status()[0], { samplesComputed: 0, samplesCached: 32, computeMs: 0 });
});

test.serial('a model is opened only when something is left to compute', async (t) => {
  for (const views of ['{}', '{flip: true, cycle: 2}']) {
    const place = await serve(t, { views });
    const { client } = await place.connect();
    const answers: Float32Array[] = [];
    const ask = async (from: LogitsClient, epoch: number) => {
      const ids = Array.from({ length: 40 }, (_, id) => id);
      for (const some of [ids.slice(0, 16), ids.slice(16, 32), ids.slice(32)]) {
        answers.push(floats(await from.ask(batch(answers.length, some, { epoch }))));
      }
    };
    for (const epoch of [0, 1]) await ask(client, epoch);
    t.is(place.logits.status()[0]?.samplesComputed, views === '{}' ? 40 : 80);
    await place.stop();
    compute.opened = 0;
    const again = await serve(t, { views, root: place.root });
    const { client: later, opened } = await again.connect();
    t.deepEqual(opened.teacherClassNames, [...place.dataset.classNames]);
    for (const epoch of [2, 3]) await ask(later, epoch);
    t.deepEqual(answers.slice(6), answers.slice(0, 6));
    t.is(compute.opened, 0);
    t.is(again.ready[0]?.parameters, 0);
    t.is((await later.ask(batch(99, [3, 41]))).logits?.samplesStored, 1);
    t.is(compute.opened, 1);
  }
});

test.serial('without a lane’s own shape, requests of several students are computed together', async (t) => {
  const job = 'averaging: {reproducible: false}, distill: {merge: {images: 39, delayMs: 60000}}';
  const { connect, reference, dataset, logits } = await serve(t, { job });
  const program = await reference();
  const clients = await Promise.all([0, 1, 2].map(async () => (await connect()).client));
  const parts = [0, 1, 2].map((part) => Array.from({ length: 14 - part }, (_, index) => 13 * part + index));
  const answers = await Promise.all(clients.map((client, index) => client.ask(batch(index, parts[index] as number[]))));
  for (const [index, part] of parts.entries()) {
    const alone = await program.predict(await load(dataset, part, 0), part.length);
    const merged = floats(answers[index] as LogitsReply__Output);
    const off = alone.reduce((most, value, at) => Math.max(most, Math.abs(value - (merged[at] as number))), 0);
    t.true(off < 1e-4, `off by ${off}`);
  }
  t.like(logits.status()[0], { samplesComputed: 39 });
  await program.close();
});

test.serial('images that students send are answered as they are', async (t) => {
  const { connect, reference, dataset } = await serve(t);
  const { height, width, channels } = dataset.image;
  const pixels = { height, width, channels };
  const { client, opened } = await connect({ pixels, datasetDigest: '', viewProtocol: 0 });
  t.true(opened.credits >= 2);
  const ids = [8, 30, 11];
  const images = await load(dataset, ids, 3);
  const bytes = Buffer.from(Uint8Array.from(images));
  const program = await reference();
  const expected = await program.predict(Float32Array.from(bytes), 3);
  for (const named of [[], ids])
    t.deepEqual(floats(await client.ask(batch(named.length, named, { pixels: bytes }))), expected);
  await program.close();
  const refused = async (changes: object, message: RegExp) => {
    const { client: other } = await connect({ pixels, datasetDigest: '' });
    const { refused: answer } = await other.ask(batch(0, [], changes));
    t.is(answer?.code, 'INVALID_ARGUMENT');
    t.regex(answer?.message ?? '', message);
  };
  await refused({ pixels: bytes.subarray(1) }, /9215 bytes of pixels, expected a multiple of 3072: 32 x 32 x 3/);
  await refused({}, /the batch has 0 samples, expected 1 to 16/);
  await refused({ pixels: Buffer.alloc(17 * 3072) }, /the batch has 17 samples, expected 1 to 16/);
  await refused({ pixels: bytes, sampleIds: [1] }, /1 ids for 3 images/);
  const { client: named } = await connect();
  const { refused: unannounced } = await named.ask(batch(0, ids, { pixels: bytes }));
  t.regex(unannounced?.message ?? '', /carries pixels, which Open has not announced/);
});

test.serial('what the teacher cannot meet is refused before the first batch', async (t) => {
  const { connect, models } = await serve(t);
  const refused = async (changes: Partial<Open>, message: RegExp, code: ErrorCode = 'FAILED_PRECONDITION') => {
    const error = await t.throwsAsync<StillhouseError>(connect(changes), { instanceOf: StillhouseError });
    t.is(error?.code, code, error?.message);
    t.regex(error?.message ?? '', message);
  };
  await refused({ classNames: ['ash', 'palm'] }, /lacks the classes palm/);
  await refused({ dustbinTemperature: 2 }, /nothing is left for its dustbin/);
  await refused({ datasetDigest: `sha256:${'0'.repeat(64)}` }, /data set here is sha256/);
  await refused({ viewProtocol: 1 }, /views are computed by rule 2 here, not 1/);
  await refused(
    { modelDigest: `sha256:${'1'.repeat(64)}` },
    new RegExp(`is ${models[0]?.modelDigest} here, not sha256:1`),
  );
  await refused({ teacher: 'small' }, /teacher small of job job-1 is not served here now/, 'UNAVAILABLE');
  await refused({ jobId: 'job-2' }, /teacher big of job job-2 is not served here now/, 'UNAVAILABLE');
  await refused({ pixels: { height: 28, width: 28, channels: 1 } }, /images of 28 x 28 x 1 are announced/);
  for (const dustbinTemperature of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    await refused({ dustbinTemperature }, /dustbin_temperature is (-1|NaN|Infinity)/, 'INVALID_ARGUMENT');
  }
  await refused({ format: null }, /format/, 'INVALID_ARGUMENT');
  await refused({ format: { encoding: 'LOGITS_ENCODING_TOP_K', topK: 0 } }, /top_?k/i, 'INVALID_ARGUMENT');
});

test.serial(
  'a format that stored logits cannot fill, or messages that are too large, are refused before the first batch',
  async (t) => {
    const job = 'distill: {logits: {topK: 2}, cache: {mode: on, encoding: {topK: 2}}}';
    const { connect, logits, dataset, models } = await serve(t, { job });
    const topK: Open['format'] = { encoding: 'LOGITS_ENCODING_TOP_K', topK: 2, temperatures: [4] };
    const { client } = await connect({ format: topK });
    const first = logitsOf(await client.ask(batch(0, [1, 2, 3])));
    t.deepEqual(logitsOf(await client.ask(batch(1, [1, 2, 3]))).values, first.values);
    const raw = await t.throwsAsync<StillhouseError>(connect(), { message: /only the largest logits are cached/ });
    t.is(raw?.code, 'FAILED_PRECONDITION');
    const { modelDigest = '' } = models[0] ?? {};
    const { classNames, image } = dataset;
    logits.serve({
      ...{
        jobId: 'job-2',
        name: 'big',
        modelDigest,
        classNames,
        dataset,
        seed: 5,
        views: NO_VIEWS,
        microBatch: 30_000,
      },
      ...{ merging: null, cache: null, counters: new ServingCounters('job-2', 'big', modelDigest) },
      predict: async (_, count) => new Float32Array(count * classNames.length),
    });
    const large = await t.throwsAsync<StillhouseError>(connect({ jobId: 'job-2', pixels: { ...image } }));
    t.is(large?.code, 'FAILED_PRECONDITION');
    t.regex(large?.message ?? '', /a request of one micro-batch takes 92640000 bytes, a message holds 67108864/);
    await connect({ jobId: 'job-2' });
  },
);

test.serial(
  'a malformed batch is refused by its key; a message that none could be named in ends the stream',
  async (t) => {
    const plain = await serve(t);
    const mixing = await serve(t, { views: '{cutmix: 1}' });
    const ended = async (place: typeof plain, message: object, reason: RegExp) => {
      const { client } = await place.connect();
      client.send(message);
      const error = await client.ended;
      t.is(error?.code, 'INVALID_ARGUMENT');
      t.regex(error?.message ?? '', reason);
    };
    const { client } = await plain.connect();
    const { client: mixed } = await mixing.connect();
    const refused = async (to: typeof client, wrong: ReturnType<typeof batch>, reason: RegExp) => {
      const reply = await to.ask(wrong);
      t.like(reply.refused, { code: 'INVALID_ARGUMENT', key: wrong.key });
      t.regex(reply.refused?.message ?? '', reason);
    };
    await refused(client, batch(0, [44]), /sample 44 is not in the data set trees, whose ids are 0 to 43/);
    await refused(client, batch(0, new Array(17).fill(1)), /17 samples, expected 1 to 16/);
    await refused(client, batch(0, []), /0 samples, expected 1 to 16/);
    await refused(client, batch(0, [3], { partnerIds: [2] }), /1 partners, expected none, as the job mixes no/);
    await refused(mixed, batch(0, [3, 9]), /0 partners, expected one for each sample/);
    await refused(mixed, batch(0, [3, 9], { partnerIds: [1, 44] }), /partner 44 is not in the data set trees/);
    t.truthy((await client.ask(batch(0, [1]))).logits, 'the stream goes on');
    await ended(plain, { batch: { ...batch(0, [1]), key: null } }, /has no key/);
    await ended(plain, {}, /neither Open nor a batch/);
    await ended(plain, { open: {} }, /is open already/);
  },
);
