/** A stored teacher labels the images of a job and serves what it has stored: real compute thread, data set and streams. */
import test, { type ExecutionContext } from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { type LabelsTable, loadLabels, rowOf, storeLabels } from '../../../lib/checkpoint/labels.ts';
import { storeModel } from '../../../lib/checkpoint/models.ts';
import { createMemoryStore, type ObjectStore } from '../../../lib/checkpoint/store.ts';
import type { Dataset } from '../../../lib/data/dataset.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { selectSplits } from '../../../lib/data/splits.ts';
import { applyViews, NO_VIEWS } from '../../../lib/data/views.ts';
import { Compute, type Program } from '../../../lib/distill/compute.ts';
import { openModel } from '../../../lib/distill/predictor.ts';
import type { ProgramSpec } from '../../../lib/distill/step-spec.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import { encodeArtefact } from '../../../lib/model/artefact.ts';
import { architectureNamed } from '../../../lib/model/zoo.ts';
import { RpcServer } from '../../../lib/wire/grpc.ts';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import type { JobSpec } from '../../../lib/wire/job-spec.ts';
import type { TaskContext, TaskProgressFields, TaskReadyFields } from '../../../lib/wire/task-runner.ts';
import { LogitsStream } from '../../../services/student-worker/logits-stream.ts';
import { labelImages } from '../../../services/teacher-worker/label-task.ts';
import { LogitsService } from '../../../services/teacher-worker/logits-service.ts';
import { serveTeacher } from '../../../services/teacher-worker/serve-task.ts';
import { silent } from '../../helpers/logger.ts';
import { artefactOf, randomModel } from '../../helpers/random-model.ts';
import { sameValues } from '../../helpers/same-values.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const SEED = 20_261_121;
const TRAIN = 71;
const CALIBRATE = 9;
const MICRO_BATCH = 16;

function job(teacherViews: string): JobSpec {
  return parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: trees, seed: 5,
    data: {dataset: trees, calibrate: ${CALIBRATE}, views: {flip: true, shift: 2}},
    teachers: [{name: big, arch: simple-cnn, views: ${teacherViews}}],
    students: [{name: few, arch: simple-cnn}], train: {microBatch: ${MICRO_BATCH}}}`);
}

const FIXED = job('{}');
const MOVING = job('{shift: 1}');

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
test.beforeEach(() => {
  compute.opened = 0;
});
test.after.always(() => compute.close());

interface Place {
  readonly dataset: Dataset;
  readonly objects: ObjectStore;
  readonly modelDigest: string;
  /** Opens the stored teacher once more, to compare with. */
  readonly reference: (batchSize: number) => Promise<Program>;
}

interface Unusual {
  /** Factor of the head's weights. */
  readonly scale?: number;
  readonly classNames?: readonly string[];
  /** Of the data that the teacher was trained on. */
  readonly trainedOn?: string;
}

/** A data set, and a teacher of random weights that has been stored as if it had been trained on it. */
async function prepare(t: ExecutionContext, unusual: Unusual = {}): Promise<Place> {
  const root = await tempFolder(t);
  const files = [
    ['train', TRAIN + CALIBRATE],
    ['test', 12],
  ] as const;
  await writeSmallDataset(root, 'trees', { files });
  const dataset = await openDataset(root, 'trees');
  t.teardown(() => dataset.close());
  const objects = createMemoryStore();
  const names = unusual.classNames ?? dataset.classNames;
  const model = randomModel(architectureNamed('simple-cnn'), dataset.image, names.length, SEED);
  const { scale = 1, trainedOn = dataset.digest } = unusual;
  const tensors = new Map(
    [...model.tensors].map(([name, { shape, values }]) => {
      const factor = shape[0] === names.length ? scale : 1;
      return [name, { shape, values: values.map((value) => factor * value) }];
    }),
  );
  const { manifest } = artefactOf(model, names);
  const jobSpecDigest = sha256('job');
  const lineage = { job: 'job-1', jobSpecDigest, dataset: trainedOn, teacher: null, arm: 'teacher' } as const;
  const classIds = names.map((name) => dataset.classNames.indexOf(name));
  const artefact = encodeArtefact({ ...manifest, classIds, parentClassNames: dataset.classNames, lineage }, tensors);
  const modelDigest = await storeModel(objects, artefact);
  const reference = (batchSize: number) => openModel(compute, artefact.manifest, tensors, [batchSize]);
  return { dataset, objects, modelDigest, reference };
}

function taskContext(controller: AbortController, onProgress: (fields: TaskProgressFields) => void = () => undefined) {
  const ready: TaskReadyFields[] = [];
  let tellReady = () => {};
  const isReady = new Promise<void>((resolve) => {
    tellReady = resolve;
  });
  const context: TaskContext = {
    signal: controller.signal,
    leaderEpoch: 1,
    begun: Promise.resolve(),
    ready: (fields) => {
      ready.push(fields);
      tellReady();
    },
    progress: onProgress,
  };
  return { context, ready, isReady };
}

function label(place: Place, context: TaskContext, objects: ObjectStore = place.objects) {
  const { dataset, modelDigest } = place;
  return labelImages({ job: MOVING, modelDigest, workerId: 'teacher-1', dataset, compute, objects }, context);
}

test.serial(`labels are what the teacher predicts for the images as they are (seed ${SEED})`, async (t) => {
  const place = await prepare(t);
  const { dataset, objects, modelDigest } = place;
  const progress: TaskProgressFields[] = [];
  const { context, ready } = taskContext(new AbortController(), (fields) => progress.push(fields));
  // The broker is away for a moment when the answers are ready.
  let away = true;
  const unsteady: ObjectStore = {
    ...objects,
    put: (bytes) => {
      if (!away) return objects.put(bytes);
      away = false;
      return Promise.reject(new StillhouseError('UNAVAILABLE', 'the broker is away'));
    },
  };
  const { labelsDigest, last } = await label(place, context, unsteady);
  const table = await loadLabels(objects, labelsDigest ?? '');
  const { train } = selectSplits(dataset, { seed: 5, calibrate: CALIBRATE });
  t.is(train.length, TRAIN);
  t.deepEqual(table.ids, train);
  t.like(table, { datasetDigest: dataset.digest, teacherDigest: modelDigest, classes: 4 });
  const program = await place.reference(32);
  t.true(sameValues(table.logits, await program.predict(await dataset.load(train), train.length)));
  t.true(new Set(table.logits).size > TRAIN);

  t.deepEqual(ready, [{ parameters: program.spec.model.parameterCount, stepsTotal: 3 }]);
  t.deepEqual(
    progress.map(({ step, loss, share }) => [step, loss, share?.stepsCommitted, share?.samplesCommitted]),
    [
      [1, 0, 1, 32],
      [2, 0, 2, 64],
      [3, 0, 3, TRAIN],
    ],
  );
  t.is(progress[0]?.share?.workerId, 'teacher-1');
  t.deepEqual(last, progress.at(-1));
});

test.serial('a cancelled task stops between two batches and stores nothing', async (t) => {
  const place = await prepare(t);
  const controller = new AbortController();
  let batches = 0;
  const { context } = taskContext(controller, () => {
    batches += 1;
    controller.abort(new StillhouseError('CANCELLED', 'the job was cancelled'));
  });
  let stored = 0;
  const objects = { ...place.objects, put: (bytes: Uint8Array) => place.objects.put(bytes).finally(() => stored++) };
  await t.throwsAsync(label(place, context, objects), { message: 'the job was cancelled' });
  t.is(batches, 1);
  t.is(stored, 0);
  // The thread is free for the next task.
  const { labelsDigest } = await label(place, taskContext(new AbortController()).context);
  t.regex(labelsDigest ?? '', /^sha256:/);
});

test.serial('answers that are not finite, and teachers of other classes or data, are refused', async (t) => {
  const refused = async (place: Place, message: RegExp) => {
    const error = await t.throwsAsync(label(place, taskContext(new AbortController()).context));
    t.true(error instanceof StillhouseError && error.code === 'FAILED_PRECONDITION', String(error));
    t.regex(error?.message ?? '', message);
  };
  const huge = await prepare(t, { scale: 1e39 });
  const { train } = selectSplits(huge.dataset, { seed: 5, calibrate: CALIBRATE });
  await refused(huge, new RegExp(`answers image ${train[0]} with (-?Infinity|NaN) for (ash|beech|cedar|elm)`));
  await refused(
    await prepare(t, { classNames: ['elm', 'cedar', 'beech', 'ash'] }),
    /answers for the classes elm, cedar/,
  );
  await refused(
    await prepare(t, { classNames: ['ash', 'beech'] }),
    /expected those of the data set, in its order: ash/,
  );
  await refused(await prepare(t, { trainedOn: sha256('other data') }), /was not trained on the job's data set/);
});

/** A table that no teacher would answer: whoever reads these numbers has looked them up. */
function inventedLabels({ dataset, modelDigest }: Place, ids: Uint32Array): LabelsTable {
  const random = createRandom(SEED, 1);
  const classes = dataset.classNames.length;
  const logits = Float32Array.from({ length: ids.length * classes }, () => random.nextNormal());
  return { datasetDigest: dataset.digest, teacherDigest: modelDigest, ids, classes, logits };
}

/** Runs the task until the end of the test and opens a student's stream to it. */
async function serve(t: ExecutionContext, place: Place, spec: JobSpec, labelsDigest: string) {
  const { dataset, objects, modelDigest } = place;
  const logits = new LogitsService('teacher-1');
  const server = new RpcServer(silent).add('Teacher', logits.implementation());
  const address = `127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
  const controller = new AbortController();
  const { context, ready, isReady } = taskContext(controller);
  const request = { jobId: 'job-1', job: spec, teacher: 'big', modelDigest, labelsDigest };
  const serving = serveTeacher({ ...request, dataset, compute, objects, logits }, context);
  const stop = async () => {
    controller.abort(new StillhouseError('CANCELLED', 'the phase is over'));
    await serving.finally(() => server.stop(0));
  };
  t.teardown(stop);
  await Promise.race([isReady, serving]);
  const options = {
    address,
    jobId: 'job-1',
    workerId: 'student-1',
    modelDigest,
    datasetDigest: dataset.digest,
    view: 1,
  };
  const { signal } = new AbortController();
  const open = (classNames: readonly string[], dustbinTemperature = 0) =>
    LogitsStream.open({ ...options, classNames, dustbinTemperature }, signal);
  const status = async () => (await logits.implementation().GetTeacherStatus({}, undefined as never)).jobs?.[0];
  return { open, ready, stop, status };
}

test.serial(`a fixed teacher serves what is stored and compiles nothing for it (seed ${SEED})`, async (t) => {
  const place = await prepare(t);
  const { dataset, objects } = place;
  const { train } = selectSplits(dataset, { seed: 5, calibrate: CALIBRATE });
  const table = inventedLabels(place, train);
  const { open, ready, status, stop } = await serve(t, place, FIXED, await storeLabels(objects, table));
  const all = await open(dataset.classNames);
  const ids = Uint32Array.from([40, 3, 3, 70, 12, 0], (row) => train[row] as number);
  const rows = Array.from(ids, (id) => rowOf(table, id));
  for (const epoch of [0, 7]) {
    const got = await all.logits({ step: epoch, lane: 0, ids, partners: null, epoch });
    t.deepEqual(
      [...got],
      rows.flatMap((row) => [...table.logits.subarray(row * 4, (row + 1) * 4)]),
    );
  }
  const some = await open(['elm', 'ash'], 3);
  const got = await some.logits({ step: 1, lane: 1, ids, partners: null, epoch: 1 });
  for (const [index, row] of rows.entries()) {
    const [ash, beech, cedar, elm] = [0, 1, 2, 3].map((column) => table.logits[row * 4 + column] as number);
    t.deepEqual([...got.subarray(index * 3, index * 3 + 2)], [elm, ash] as number[]);
    const joined = 3 * Math.log(Math.exp((beech as number) / 3) + Math.exp((cedar as number) / 3));
    t.true(Math.abs((got[index * 3 + 2] as number) - joined) < 1e-6, `row ${index}`);
  }
  t.is(compute.opened, 0);
  t.like(await status(), { samplesServed: 18, samplesRepeated: 0, batchesServed: 3, computeMs: 0 });
  const program = await place.reference(MICRO_BATCH);
  t.deepEqual(ready, [{ parameters: program.spec.model.parameterCount, stepsTotal: 0 }]);

  // Images of other splits are not in the table.
  const test = dataset.idsOf('test').subarray(0, 2);
  const mixed = Uint32Array.of(test[0] as number, ids[0] as number, test[1] as number);
  const answered = await all.logits({ step: 9, lane: 0, ids: mixed, partners: null, epoch: 3 });
  const computed = await program.predict(await dataset.load(test), 2);
  const stored = table.logits.subarray((rows[0] as number) * 4, ((rows[0] as number) + 1) * 4);
  t.deepEqual([...answered], [...computed.subarray(0, 4), ...stored, ...computed.subarray(4)]);
  t.is(compute.opened, 2);
  t.true(Number((await status())?.computeMs) > 0);
  await stop();
});

test.serial('a teacher that sees augmented images computes, by its own views and not by the students', async (t) => {
  const place = await prepare(t);
  const { dataset, objects } = place;
  const ids = selectSplits(dataset, { seed: 5, calibrate: CALIBRATE }).train;
  const { open } = await serve(t, place, MOVING, await storeLabels(objects, inventedLabels(place, ids)));
  t.is(compute.opened, 1);
  const stream = await open(dataset.classNames);
  const batch = ids.slice(0, MICRO_BATCH);
  const program = await place.reference(MICRO_BATCH);
  for (const epoch of [0, 1]) {
    const images = await dataset.load(batch);
    applyViews(images, batch, dataset.image, { ...NO_VIEWS, seed: 5, number: epoch, shift: 1 });
    const expected = await program.predict(images, batch.length);
    t.true(sameValues(await stream.logits({ step: epoch, lane: 0, ids: batch, partners: null, epoch }), expected));
  }
});

test.serial('a fixed teacher without stored answers computes them', async (t) => {
  const place = await prepare(t);
  const { dataset } = place;
  const { open } = await serve(t, place, FIXED, '');
  t.is(compute.opened, 1);
  const stream = await open(dataset.classNames);
  const ids = Uint32Array.of(4, 1);
  const program = await place.reference(MICRO_BATCH);
  const expected = await program.predict(await dataset.load(ids), 2);
  t.true(sameValues(await stream.logits({ step: 0, lane: 0, ids, partners: null, epoch: 3 }), expected));
});

test.serial('stored answers of another teacher or other data are refused', async (t) => {
  const place = await prepare(t);
  const { dataset, objects, modelDigest } = place;
  const ids = Uint32Array.of(1, 2, 3);
  const refused = async (change: Partial<LabelsTable>, code: string, message: RegExp) => {
    const labelsDigest = await storeLabels(objects, { ...inventedLabels(place, ids), ...change });
    const request = { jobId: 'job-1', job: FIXED, teacher: 'big', modelDigest, labelsDigest };
    const logits = new LogitsService('teacher-1');
    const { context, ready } = taskContext(new AbortController());
    const error = await t.throwsAsync(serveTeacher({ ...request, dataset, compute, objects, logits }, context));
    t.true(error instanceof StillhouseError && error.code === code, String(error));
    t.regex(error?.message ?? '', message);
    t.deepEqual(ready, []);
  };
  await refused({ teacherDigest: sha256('other') }, 'FAILED_PRECONDITION', /are of teacher sha256.*, expected sha256/);
  await refused({ datasetDigest: sha256('other') }, 'FAILED_PRECONDITION', /are of data set sha256.*, expected sha256/);
  const narrow = { classes: 2, logits: new Float32Array(6) };
  await refused(narrow, 'FAILED_PRECONDITION', /number of classes is 2, expected 4/);
  t.is(compute.opened, 0);
});
