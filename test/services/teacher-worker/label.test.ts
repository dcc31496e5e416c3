/** A teacher labels the images of a job: real compute thread, data set, cache folder. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { type ErrorCode, StillhouseError } from '../../../lib/base/errors.ts';
import { indexOfMax } from '../../../lib/base/vectors.ts';
import { answersOf, loadLabels } from '../../../lib/checkpoint/labels.ts';
import { type CachedLogits, LogitsCache } from '../../../lib/checkpoint/logits-cache/cache.ts';
import { loadModel, storeModel } from '../../../lib/checkpoint/models.ts';
import type { ObjectStore } from '../../../lib/checkpoint/store.ts';
import { NO_VIEWS, PartnerPools, partnersOf } from '../../../lib/data/views.ts';
import { Compute } from '../../../lib/distill/compute.ts';
import { decodeRows } from '../../../lib/distill/logits/format.ts';
import { prepareTraining } from '../../../lib/distill/training-loop.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import { encodeArtefact } from '../../../lib/model/artefact.ts';
import { planTeacher } from '../../../lib/wire/job-plan.ts';
import type { JobSpec } from '../../../lib/wire/job-spec.ts';
import { cacheRecipe, plainRecipe } from '../../../lib/wire/logits-recipe.ts';
import { evaluateAndStore, openTraining } from '../../../lib/wire/trainer.ts';
import {
  answering,
  type LabelAttempt,
  type LabelPlace,
  label,
  labelJob,
  labelPlace,
  SEED,
  TRAIN,
  type UnusualTeacher,
} from '../../helpers/labelling.ts';
import { sameValues } from '../../helpers/same-values.ts';

configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
const compute = new Compute();
test.after.always(() => compute.close());

const prepare = (t: ExecutionContext, unusual: UnusualTeacher = {}) => labelPlace(t, compute, unusual);

async function refused(
  t: ExecutionContext,
  attempt: Promise<unknown>,
  code: ErrorCode,
  message: RegExp,
): Promise<void> {
  const error = await t.throwsAsync(attempt, { instanceOf: StillhouseError });
  t.is(error?.code, code, String(error));
  t.regex(error?.message ?? '', message);
}

async function openCache(t: ExecutionContext, place: LabelPlace, job: JobSpec) {
  const { folder, dataset } = place;
  const teacher = await answering(place, job);
  const recipe = cacheRecipe(job, teacher, dataset) ?? plainRecipe(job, teacher, dataset);
  if (recipe === null) throw new Error('the job stores nothing');
  const cache = await LogitsCache.open(folder, recipe, { writes: false });
  t.teardown(() => cache.close());
  return cache;
}

function storedLogits(
  t: ExecutionContext,
  cache: CachedLogits,
  ids: Uint32Array,
  view = 0,
  partners: Uint32Array | null = null,
) {
  const { rows, missing } = cache.lookup({ view, ids, partners });
  t.deepEqual(missing, []);
  return decodeRows(rows, ids.length, cache.format, 'the cache').logits;
}

test.serial(`what is stored is what the teacher predicts, and the classes follow from it (seed ${SEED})`, async (t) => {
  const place = await prepare(t);
  const { dataset, objects, modelDigest, ids } = place;
  t.is(ids.length, TRAIN);
  // The broker is away for a moment when the classes are ready.
  let away = true;
  const unsteady: ObjectStore = {
    ...objects,
    put: (bytes) => {
      if (!away) return objects.put(bytes);
      away = false;
      return Promise.reject(new StillhouseError('UNAVAILABLE', 'the broker is away'));
    },
  };
  const job = labelJob();
  const { labelsDigest, ready, progress, last } = await label(place, job, { objects: unsteady });
  const program = await place.reference();
  const expected = await program.predict(await dataset.load(ids), ids.length);
  await program.close();
  t.true(sameValues(storedLogits(t, await openCache(t, place, job), ids), expected));
  const table = await loadLabels(objects, labelsDigest);
  t.like(table, { datasetDigest: dataset.digest, teacherDigest: modelDigest, classes: 4, ids });
  const answer = answersOf(table);
  for (const [row, id] of ids.entries()) t.is(answer(id), indexOfMax(expected.subarray(4 * row, 4 * row + 4)));
  t.true(new Set(table.answers).size > 1);

  t.deepEqual(ready, [{ parameters: program.spec.model.parameterCount, stepsTotal: 5, notice: '' }]);
  t.deepEqual(
    progress.map(({ step, share }) => [step, share?.stepsCommitted, share?.samplesCommitted, share?.cachedSamples]),
    [16, 32, 48, 64, TRAIN].map((images, index) => [index + 1, index + 1, images, 0]),
  );
  t.is(progress[0]?.share?.workerId, 'teacher-1');
  t.deepEqual(last, progress.at(-1));
});

test.serial('a task that was cancelled goes on where it was, and comes to the same', async (t) => {
  const place = await prepare(t);
  const job = labelJob();
  let stored = 0;
  const objects = { ...place.objects, put: (bytes: Uint8Array) => place.objects.put(bytes).finally(() => stored++) };
  const onProgress: LabelAttempt['onProgress'] = ({ step }, controller) => {
    if (step === 2) controller.abort(new StillhouseError('CANCELLED', 'the job was cancelled'));
  };
  await t.throwsAsync(label(place, job, { objects, onProgress }), { message: 'the job was cancelled' });
  t.is(stored, 0);
  const resumed = await label(place, job);
  t.like(resumed.ready[0], { stepsTotal: 3, notice: '32 of 71 answers were stored already' });
  t.like(resumed.last?.share, { samplesCommitted: TRAIN - 32, cachedSamples: 32, teacherSamples: TRAIN });
  const nothingLeft = await label(place, job);
  t.like(nothingLeft.ready[0], { stepsTotal: 0, notice: '71 of 71 answers were stored already' });
  t.deepEqual(nothingLeft.progress, []);
  t.is(nothingLeft.labelsDigest, resumed.labelsDigest);
  const undisturbed = await label({ ...place, folder: path.join(place.folder, 'other') }, job);
  t.is(undisturbed.labelsDigest, resumed.labelsDigest);
  // Only the logits are wanted: no classes are stored.
  t.is((await label(place, job, { answers: false })).labelsDigest, '');
});

/** The teacher as the job trains it; answers its digest. */
async function trainTeacher({ dataset, objects }: LabelPlace, job: JobSpec, jobId: string): Promise<string> {
  const plan = await planTeacher(job, dataset, 'big', null);
  const { program, images } = await openTraining(compute, plan, dataset);
  const { signal } = new AbortController();
  try {
    const lanes = { firstLane: 0, lanes: 1, averager: null, teacher: null };
    const run = { program, images, plan: plan.training, ...lanes, signal, onCommit: () => undefined };
    await (await prepareTraining(run))();
    const request = { program, plan, dataset, job, jobId, teachers: [], objects, signal };
    return (await evaluateAndStore(request, { epochs: 1, best: null })).modelDigest;
  } finally {
    await program.close();
  }
}

test.serial(
  'a job that trains the same teacher again finds its answers; one with another teacher does not',
  async (t) => {
    const place = await prepare(t);
    const { objects } = place;
    const drawn = labelJob();
    const job = { ...drawn, train: { ...drawn.train, epochs: 1, lanes: 1 } };
    const first = { ...place, modelDigest: await trainTeacher(place, job, 'job-1') };
    const second = { ...place, modelDigest: await trainTeacher(place, job, 'job-2') };
    t.not(first.modelDigest, second.modelDigest);
    t.is((await label(first, job)).ready[0]?.stepsTotal, 5);
    const again = await label(second, { ...job, name: 'another' });
    t.like(again.ready[0], { stepsTotal: 0, notice: '71 of 71 answers were stored already' });

    const { manifest, tensors } = await loadModel(objects, first.modelDigest);
    const [beech, ash, ...rest] = manifest.classNames as [string, string, ...string[]];
    const { preprocessing } = manifest;
    const [name, tensor] = [...tensors][0] as [string, { shape: readonly number[]; values: Float32Array }];
    const nudged = { ...tensor, values: tensor.values.map((value, at) => (at === 0 ? value + 1e-3 : value)) };
    const others = [
      encodeArtefact(manifest, new Map([...tensors, [name, nudged]])),
      encodeArtefact({ ...manifest, classNames: [ash, beech, ...rest], classIds: [1, 0, 2, 3] }, tensors),
      encodeArtefact({ ...manifest, preprocessing: { ...preprocessing, mean: [0.5, 0.5, 0.5] } }, tensors),
    ];
    for (const [index, other] of others.entries()) {
      const modelDigest = await storeModel(objects, other);
      t.is((await label({ ...place, modelDigest }, job)).ready[0]?.stepsTotal, 5, `other ${index}`);
    }
  },
);

test.serial('every view that comes again is answered, mixed as students see it', async (t) => {
  const place = await prepare(t);
  const { dataset, ids } = place;
  const job = labelJob({ views: '{flip: true, shift: 2, mixup: 0.3, cycle: 2}' });
  const { ready } = await label(place, job, { answers: false });
  t.like(ready[0], { stepsTotal: 10 });
  const cache = await openCache(t, place, job);
  const program = await place.reference();
  const pools = new PartnerPools({ ids, shards: dataset.shards });
  const seen = new Set<string>();
  for (const view of [0, 1]) {
    const rule = { ...NO_VIEWS, flip: true, shift: 2, mixup: 0.3, seed: 5, number: view };
    const partners = partnersOf(ids, pools, rule);
    const expected = await program.predict(await dataset.load(ids, { rule, partners }), ids.length);
    const found = storedLogits(t, cache, ids, view, partners);
    t.true(sameValues(found, expected), `view ${view}`);
    seen.add(found.join());
  }
  t.is(seen.size, 2);
  t.is((await label(place, job, { answers: false })).ready[0]?.stepsTotal, 0);
  // With classes, the images are answered as they are too, once.
  t.is((await label(place, job)).ready[0]?.stepsTotal, 5);
  t.is((await label(place, job)).ready[0]?.stepsTotal, 0);
  await program.close();
});

test.serial('what no student is known to see is not answered', async (t) => {
  const place = await prepare(t);
  // Views that never come again; mixtures that depend on which images have the student's classes.
  const fresh = labelJob({ views: '{shift: 1}', cache: '{mode: on}' });
  const ofSome = labelJob({ views: '{mixup: 0.3, cycle: 2}', student: ', classes: [ash, elm]' });
  for (const job of [fresh, ofSome]) t.is((await label(place, job, { answers: false })).ready[0]?.stepsTotal, 0);
  const ofAll = labelJob({ views: '{mixup: 0.3, cycle: 2}', student: ', classes: [ash, elm], dustbin: true' });
  t.is((await label(place, ofAll, { answers: false })).ready[0]?.stepsTotal, 10);
});

test.serial('a reproducible job finds only what was computed at its shape', async (t) => {
  const place = await prepare(t);
  const job = labelJob();
  const small: JobSpec = { ...job, train: { ...job.train, microBatch: 8 } };
  const merged: JobSpec = { ...job, averaging: { ...job.averaging, reproducible: false } };
  const { images } = job.distill.merge;
  const attempt = async (each: JobSpec) => (await label(place, each, { answers: false })).ready[0]?.stepsTotal;
  t.is(await attempt(merged), Math.ceil(TRAIN / Math.max(images, job.train.microBatch)));
  t.is(await attempt(job), 5);
  t.is(await attempt(small), 9);
  // Batches of any size are as good as others of any size.
  const mergedSmall: JobSpec = { ...merged, train: small.train };
  for (const again of [merged, job, small, mergedSmall]) t.is(await attempt(again), 0);
});

test.serial('without the cache the classes are the same, and nothing is left behind', async (t) => {
  const place = await prepare(t);
  const { labelsDigest } = await label(place, labelJob({ cache: '{mode: off}' }));
  await t.throwsAsync(readdir(place.folder), { code: 'ENOENT' });
  t.is((await label(place, labelJob({ cache: '{mode: off}' }))).ready[0]?.stepsTotal, 5);
  t.is((await label(place, labelJob())).labelsDigest, labelsDigest);
});

test.serial(
  'classes are those of the data set that the teacher knows, also when only the largest logits are stored',
  async (t) => {
    const place = await prepare(t, { classNames: ['elm', 'ash', 'cedar'] });
    const { dataset, objects, ids } = place;
    const program = await place.reference();
    const logits = await program.predict(await dataset.load(ids), ids.length);
    await program.close();
    const expected = Array.from(ids, (_, row) => [3, 0, 2][indexOfMax(logits.subarray(3 * row, 3 * row + 3))]);
    const digests = new Set<string>();
    for (const cache of ['{encoding: fp32}', '{encoding: int8}', '{mode: off}']) {
      digests.add((await label(place, labelJob({ cache }))).labelsDigest);
    }
    t.is(digests.size, 1);
    t.deepEqual([...(await loadLabels(objects, [...digests][0] as string)).answers], expected);
  },
);

test.serial('a teacher that cannot answer is refused with the image and the class', async (t) => {
  const huge = await prepare(t, { scale: 1e39 });
  const numbers = new RegExp(
    `^image ${huge.ids[0]}: teacher big answers (-?Infinity|NaN) for .*class (ash|beech|cedar|elm)`,
  );
  await refused(t, label(huge, labelJob()), 'DATA_LOSS', numbers);
  const large = await prepare(t, { scale: 1e6 });
  const half = new RegExp(`^image ${large.ids[0]}: `);
  await refused(t, label(large, labelJob({ cache: '{encoding: fp16}' })), 'FAILED_PRECONDITION', half);
  const elsewhere = await prepare(t, { trainedOn: sha256('other data') });
  await refused(t, label(elsewhere, labelJob()), 'FAILED_PRECONDITION', /was not trained on the job's data set/);
});

test.serial('a full folder ends the task where the job asks for storing, else only the storing', async (t) => {
  const place = await prepare(t);
  const bytesMax = 100;
  const full = label(place, labelJob({ cache: '{mode: on, encoding: fp32}' }), { bytesMax });
  await refused(t, full, 'RESOURCE_EXHAUSTED', /^the logits of teacher big cannot be stored: .* 100 bytes$/);
  const { labelsDigest } = await label(place, labelJob(), { bytesMax });
  t.is((await label(place, labelJob())).labelsDigest, labelsDigest);
});
