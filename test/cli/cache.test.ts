/** `stillhouse label` and `stillhouse cache`: answers are stored, shown, checked against themselves and the teacher, and removed. */
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { StillhouseError } from '../../lib/base/errors.ts';
import { LogitsCache } from '../../lib/checkpoint/logits-cache/cache.ts';
import { RecordLayout } from '../../lib/checkpoint/logits-cache/segment-format.ts';
import { Compute } from '../../lib/distill/compute.ts';
import { configureEngine } from '../../lib/engine/environment.ts';
import { decodeArtefact, encodeArtefact, writeArtefactFolder } from '../../lib/model/artefact.ts';
import { plainRecipe } from '../../lib/wire/logits-recipe.ts';
import { runClis } from '../helpers/cli-batch.ts';
import { serveFirstValues } from '../helpers/first-values.ts';
import { jobOf } from '../helpers/given-teacher.ts';
import {
  answering,
  CALIBRATE,
  type LabelAttempt,
  label,
  labelJob,
  labelPlace,
  MICRO_BATCH,
  TRAIN,
} from '../helpers/labelling.ts';

configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
const compute = new Compute();
test.after.always(() => compute.close());

/** Ends a task of labelling when two batches are stored. */
const interrupted: LabelAttempt = {
  answers: false,
  onProgress: ({ step }, controller) => {
    if (step === 2) controller.abort(new StillhouseError('CANCELLED', 'the job was cancelled'));
  },
};

test('answers are stored once, by whichever job; shown, verified and removed', async (t) => {
  const place = await labelPlace(t, compute);
  const { root, folder, dataset, artefact, modelDigest } = place;
  const [model, other] = [path.join(root, 'big'), path.join(root, 'other')];
  await writeArtefactFolder(model, artefact);
  const { manifest } = artefact;
  const { tensors } = decodeArtefact(artefact.manifestBytes, artefact.weightsBytes);
  const preprocessing = { ...manifest.preprocessing, mean: [0.5, 0.5, 0.5] };
  await writeArtefactFolder(other, encodeArtefact({ ...manifest, preprocessing }, tensors));
  const environment = {
    STILLHOUSE_DATA: root,
    STILLHOUSE_LOGITS: folder,
    STILLHOUSE_THREADS: '1',
    TMPDIR: root,
  };
  const run = (...commands: string[][]) =>
    runClis(
      commands.map((args) => ['cache', ...args]),
      environment,
    );

  // A job has trained the teacher and was cancelled; another one names the model.
  const plain = labelJob({ cache: '{encoding: int8}' });
  const file = path.join(root, 'job.yaml');
  await writeFile(
    file,
    `{apiVersion: stillhouse/v1, kind: Job, name: again, seed: 5, data: {dataset: trees, calibrate: ${CALIBRATE}},
      teachers: [{name: large, from: {type: weights, weights: ./big}, views: {}}], train: {microBatch: ${MICRO_BATCH}},
      students: [{name: few, arch: simple-cnn}], distill: {cache: {encoding: int8}}, averaging: {workers: 1}}`,
  );
  const out = path.join(root, 'out');
  const labelling = (...more: string[]) => ['label', file, '--out', out, '--json', ...more];
  const [nothing, none] = await run(['info'], ['verify']);
  await t.throwsAsync(label(place, plain, interrupted), { message: 'the job was cancelled' });
  const labelled = await runClis(
    [
      labelling(),
      labelling('--set', 'teachers[0].views={flip: true}'),
      labelling('--set', 'distill.cache.mode=off'),
      labelling('--coordinator', '127.0.0.1:1'),
    ],
    environment,
  );
  const [rest, fresh, off, unreachable] = labelled;
  t.deepEqual(
    labelled.map(({ code }) => code),
    [0, 1, 1, 1],
    labelled.map(({ err }) => err).join('\n'),
  );
  const [stored] = JSON.parse(rest?.out ?? '') as Record<string, unknown>[];
  t.like(stored, { teacher: 'large', answers: TRAIN, storedBefore: 2 * MICRO_BATCH });
  t.not(stored?.modelDigest, modelDigest);
  t.regex(rest?.err ?? '', /32 of 71 answers were stored already(.*\n)*.*label by large: done in/);
  t.regex(fresh?.err ?? '', /teachers\[0\]\.views: the teacher sees a new view of each image in every epoch/);
  t.regex(off?.err ?? '', /distill\.cache\.mode/);
  t.regex(unreachable?.err ?? '', /127\.0\.0\.1:1/);
  t.is((await readdir(folder)).length, 1);
  t.deepEqual([nothing?.code, none?.code], [0, 0]);
  t.regex(`${nothing?.out}${none?.out}`, /^nothing is stored in .*\nnothing is stored in .*\n$/);
  await label(place, labelJob({ views: '{flip: true, mixup: 0.2, cycle: 2}' }), { answers: false });

  const [info, json, quick] = await run(['info'], ['info', '--json'], ['info', '--quick', '--json']);
  const summaries = JSON.parse(json?.out ?? '') as Record<string, unknown>[];
  t.is(summaries.length, 2);
  const [whole, mixed] = [...summaries].sort((a, b) => String(b.views).localeCompare(String(a.views))) as [
    Record<string, unknown>,
    Record<string, unknown>,
  ];
  const plainTeacher = await answering(place, plain);
  const teacherDigest = plainTeacher.answersDigest;
  const common = { teacher: 'big', modelDigest, teacherDigest, dataset: 'trees', datasetDigest: dataset.digest };
  const { sampleCount: images } = dataset;
  t.like(whole, {
    ...common,
    images,
    views: 'none',
    encoding: 'int8',
    classes: 4,
    shape: MICRO_BATCH,
    damaged: 0,
    problem: '',
  });
  t.deepEqual(whole.coverage, [{ view: 0, images: TRAIN }]);
  t.like(mixed, { ...common, views: 'flip mixup 0.2 (seed 5)', encoding: 'fp32' });
  t.deepEqual(
    mixed.coverage,
    [0, 1].map((view) => ({ view, images: TRAIN })),
  );
  t.regex(info?.out ?? '', /NAMESPACE .*\n(.*\n)*.* 71 of 92 in 2 views .*\n/);
  t.is((JSON.parse(quick?.out ?? '') as Record<string, unknown>[])[0]?.coverage, null);

  const name = String(whole.namespace);
  const [both, all, missing, several, detail] = await run(
    ['verify'],
    ['verify', String(mixed.namespace), '--samples', '1000', '--model', model, '--json'],
    ['info', 'zz'],
    ['verify', '--model', model],
    ['info', name.slice(0, 8)],
  );
  t.is(both?.code, 0, both?.err);
  t.is(
    both?.out.match(/71 answers as stored, 0 damaged, checksums only\n {2}none was computed again: .*--model/g)?.length,
    1,
  );
  t.deepEqual(JSON.parse(all?.out ?? ''), [
    {
      namespace: mixed.namespace,
      answers: 2 * TRAIN,
      damaged: 0,
      recomputed: 2 * TRAIN,
      notRecomputed: '',
      problems: [],
    },
  ]);
  t.is(all?.code, 0);
  t.deepEqual([missing?.code, several?.code], [1, 1]);
  t.regex(missing?.err ?? '', /there is no namespace zz/);
  t.regex(several?.err ?? '', /--model is one teacher’s, and there are 2 namespaces/);
  t.regex(detail?.out ?? '', new RegExp(`^${name}\\nteacher +big, ${modelDigest}\\n`));

  // One record is damaged; another is as whole as any, and says something else.
  const segments = (await readdir(path.join(folder, name))).filter((file) => file.endsWith('.rows'));
  const segment = path.join(folder, name, segments[0] ?? '');
  const bytes = await readFile(segment);
  const layout = new RecordLayout(8 + 4);
  const [damaged, changed] = [layout.offsetOf(3), layout.offsetOf(5)];
  bytes[damaged + 20] = (bytes[damaged + 20] as number) ^ 4;
  const { id: changedId } = layout.keyOf(bytes, changed);
  const row = Buffer.from(layout.rowOf(bytes, changed));
  row.set([0, 255, 0, 0], 8);
  layout.write(bytes, changed, layout.keyOf(bytes, changed), row);
  await writeFile(segment, bytes);
  const verify = ['verify', name, '--samples', '1000', '--model', path.join(out, 'models', 'large')];
  const [wrong, another] = await run(verify, [...verify.slice(0, -1), other]);
  t.is(wrong?.code, 1);
  t.is(
    (wrong?.out ?? '').replace(/is -?[\d.e-]+, and the teacher answers -?[\d.e-]+/, 'IS'),
    `${name}: 70 answers as stored, 1 damaged, 70 computed again\n  ${segment}: record 3 is damaged\n` +
      `  image ${changedId}: ${/: (ash|beech|cedar|elm) is/.exec(wrong?.out ?? '')?.[1]} IS\n`,
  );
  t.is(another?.code, 1);
  t.regex(another?.out ?? '', /the model in .*other is sha256:\w+, and the answers are of sha256:/);

  // Labelling again stores what is damaged, beside it.
  t.is((await label(place, plain)).ready[0]?.stepsTotal, 1);
  const recipe = plainRecipe(plain, plainTeacher, dataset);
  if (recipe === null) throw new Error('the job stores nothing');
  const writer = await LogitsCache.open(folder, recipe, { writes: true });
  writer.keep({ view: 0, ids: [images - 1], partners: null }, new Uint8Array(12));
  await writer.flush();
  const [would, busy, wrongUse] = await run(
    ['clear', name],
    ['clear', name, '--yes'],
    ['clear', name, '--all', '--yes'],
  );
  t.deepEqual([would?.code, busy?.code, wrongUse?.code], [0, 1, 1]);
  t.regex(would?.out ?? '', new RegExp(`^would remove ${name}: .*, teacher big, data set trees\\n$`));
  t.regex(busy?.err ?? '', new RegExp(`${name} is being written by process ${process.pid}`));
  await writer.close();
  const daysAgo = new Date(Date.now() - 40 * 24 * 3_600_000);
  await utimes(path.join(folder, name, 'recipe.json'), daysAgo, daysAgo);
  const [recent, one, others] = await run(
    ['clear', '--unused-for', '6w', '--yes'],
    ['clear', '--unused-for', '30d', '--yes'],
    ['clear', '--all', '--yes'],
  );
  t.deepEqual([recent?.code, one?.code, others?.code], [0, 0, 0], `${recent?.err}${one?.err}${others?.err}`);
  t.regex(recent?.out ?? '', /^nothing has been unused for so long in /);
  t.regex(one?.out ?? '', new RegExp(`^removed ${name}: [^\n]*\n$`));
  t.deepEqual(await readdir(folder), []);
});

test('answers from an endpoint are asked for again where it is, if it is the same', async (t) => {
  const { backend, server } = await serveFirstValues(t);
  const place = await labelPlace(t, compute);
  const { root, folder } = place;
  const { teachers } = jobOf(
    `{type: endpoint, url: "grpc://127.0.0.1:${server.port}", model: first, timeoutMs: 1000, input: {name: image, type: uint8}}`,
  );
  await label({ ...place, modelDigest: '' }, { ...labelJob(), teachers }, { answers: false });
  const environment = { STILLHOUSE_DATA: root, STILLHOUSE_LOGITS: folder };
  const verify = async () => {
    const [result] = await runClis([['cache', 'verify', '--samples', '1000', '--json']], environment);
    const [found] = JSON.parse(result?.out ?? '') as {
      recomputed: number;
      notRecomputed: string;
      problems: string[];
    }[];
    return { code: result?.code, ...found };
  };
  t.like(await verify(), { code: 0, answers: TRAIN, recomputed: TRAIN, notRecomputed: '', problems: [] });
  backend.divisor = 2;
  const changed = await verify();
  t.like(changed, { code: 1, recomputed: TRAIN });
  t.is(changed.problems?.length, TRAIN);
  t.regex(changed.problems?.[0] ?? '', /^image \d+: \w+ is [\d.]+, and the teacher answers [\d.]+$/);
  // It goes away after two batches, and what was found by then stays.
  const gone = new StillhouseError('INTERNAL', 'out of order');
  backend.failures.push(...Array<undefined>(5), gone);
  const halfway = await verify();
  t.like(halfway, { code: 1, recomputed: 64, notRecomputed: '' });
  t.is(halfway.problems?.length, 1 + 64);
  t.regex(halfway.problems?.[0] ?? '', /^the teacher failed after 64 answers: .*out of order/);
  backend.divisor = 0;
  const garbage = await verify();
  t.like(garbage, { code: 1, recomputed: 0, notRecomputed: '' });
  t.regex(garbage.problems?.join() ?? '', /^the teacher failed after 0 answers: .*(NaN|Infinity)/);
  backend.version = '2';
  const other = await verify();
  t.like(other, { code: 1, recomputed: 0, problems: [] });
  t.regex(other.notRecomputed ?? '', /version change of teacher big/);
});
