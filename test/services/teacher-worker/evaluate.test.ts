/** A teacher that a job brings along is evaluated: real compute thread, data set, files. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { indexOfMax } from '../../../lib/base/vectors.ts';
import { storeModel } from '../../../lib/checkpoint/models.ts';
import { Compute } from '../../../lib/distill/compute.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import { exportModel } from '../../../lib/model/export/export-model.ts';
import { architectureNamed } from '../../../lib/model/zoo.ts';
import type { JobSpec } from '../../../lib/wire/job-spec.ts';
import type { TaskContext, TaskProgressFields, TaskReadyFields } from '../../../lib/wire/worker-session.ts';
import { evaluateTeacher } from '../../../services/teacher-worker/evaluate-task.ts';
import { serveFirstValues } from '../../helpers/first-values.ts';
import { jobOf, storedJob, type TeacherPlace, teacherPlace } from '../../helpers/given-teacher.ts';
import { artefactOf, decoded, ownLogits, randomModel } from '../../helpers/random-model.ts';
import { SMALL_CLASS_NAMES } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const SEED = 20_261_121;
/** The teacher knows more classes than the data set has, in another order. */
const KNOWN = ['yew', 'elm', 'ash', 'oak', 'cedar', 'beech'];
const model = randomModel(architectureNamed('resnet-8'), { height: 32, width: 32, channels: 3 }, KNOWN.length, SEED);
const artefact = artefactOf(model, KNOWN);

configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
const compute = new Compute();
test.after.always(() => compute.close());

async function evaluate(place: TeacherPlace, job: JobSpec) {
  const [ready, progress]: [TaskReadyFields[], TaskProgressFields[]] = [[], []];
  const task: TaskContext = {
    signal: new AbortController().signal,
    leaderEpoch: 1,
    ready: (fields) => void ready.push(fields),
    begun: Promise.resolve(),
    progress: (fields) => void progress.push(fields),
    note: () => undefined,
    onTeachers: () => undefined,
  };
  const result = await evaluateTeacher({ ...place, job, teacher: 'big', workerId: 'teacher-1' }, task);
  return { result, ready, progress };
}

async function onnx(t: ExecutionContext): Promise<string> {
  const file = path.join(await tempFolder(t), 'model.onnx');
  await writeFile(file, (await exportModel(decoded(artefact), 'onnx', 'dynamic')) as Uint8Array);
  return `type: onnx, path: "${file}", input: {scale: '0..255'}`;
}

test(`among the data set’s classes, whatever else the teacher knows (seed ${SEED})`, async (t) => {
  const place = await teacherPlace(t, compute);
  const { dataset, objects } = place;
  const ids = dataset.idsOf('test');
  const logits = ownLogits(model, await dataset.load(ids));
  const columns = SMALL_CLASS_NAMES.map((name) => KNOWN.indexOf(name));
  const right = ids.filter((id, row) => {
    const own = Float32Array.from(columns, (column) => logits[row * KNOWN.length + column] as number);
    return indexOfMax(own) === dataset.labels[id];
  });
  const digest = await storeModel(objects, artefact);
  for (const from of [`{${await onnx(t)}, classNames: [${KNOWN}]}`, `{type: weights, weights: "${digest}"}`]) {
    const { result, ready, progress } = await evaluate(place, await storedJob(objects, jobOf(from)));
    t.is(result.correct, right.length, from);
    t.is(result.evaluatedImages, ids.length);
    t.true(Number(result.predictImagesPerSecond) > 0);
    t.is(result.manifestJson, '');
    t.regex(result.modelDigest ?? '', /^sha256:/);
    t.is(ready[0]?.stepsTotal, 1);
    t.is(progress.at(-1)?.share?.samplesCommitted, ids.length);
    if (from.includes('weights')) t.is(result.modelDigest, digest);
  }
});

test('a teacher that lacks a class of a student is refused with the class', async (t) => {
  const place = await teacherPlace(t, compute);
  const names = ['yew', 'elm', 'ash', 'oak', 'fir', 'beech'];
  const job = await storedJob(place.objects, jobOf(`{${await onnx(t)}, classNames: [${names}]}`));
  await t.throwsAsync(evaluate(place, job), {
    code: 'FAILED_PRECONDITION',
    message: 'teacher big lacks the classes cedar of student few',
  });
  // Of images of classes that it does not know nothing is asked where no student does.
  const few = job.students.map((student) => ({ ...student, classes: ['ash', 'elm'] }));
  const { result } = await evaluate(place, { ...job, students: few });
  const { labels } = place.dataset;
  const known = place.dataset.idsOf('test').filter((id) => labels[id] !== SMALL_CLASS_NAMES.indexOf('cedar'));
  t.is(result.evaluatedImages, known.length);
});

test('a teacher on a server that is late once is evaluated for all that', async (t) => {
  const place = await teacherPlace(t, compute);
  const { backend, server } = await serveFirstValues(t);
  const url = `grpc://127.0.0.1:${server.port}`;
  const job = jobOf(
    `{type: endpoint, url: "${url}", model: first, timeoutMs: 1500, input: {name: image, type: uint8}}`,
  );
  // The first answer opens it.
  backend.delaysMs.push(0, 2_500);
  const { result } = await evaluate(place, job);
  t.is(result.evaluatedImages, place.dataset.idsOf('test').length);
  t.deepEqual(backend.delaysMs, []);
});

test('a teacher of other classes is refused where only its largest logits are stored', async (t) => {
  const place = await teacherPlace(t, compute);
  const digest = await storeModel(place.objects, artefact);
  const job = jobOf(`{type: weights, weights: "${digest}"}`);
  const distill = { ...job.distill, logits: { topK: 2 }, cache: { ...job.distill.cache, encoding: { topK: 2 } } };
  await t.throwsAsync(evaluate(place, { ...job, distill }), {
    code: 'INVALID_ARGUMENT',
    message: /distill\.cache\.encoding: topK stores rows .* teacher big has other classes/,
  });
});
