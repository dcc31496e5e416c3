import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { loadModel, storeModel } from '../../../lib/checkpoint/models.ts';
import { createMemoryStore } from '../../../lib/checkpoint/store.ts';
import type { ImageShape } from '../../../lib/data/manifest.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import type { EncodedArtefact } from '../../../lib/model/artefact.ts';
import { encodeSafetensors, type NamedTensors } from '../../../lib/model/safetensors.ts';
import { architectureNamed } from '../../../lib/model/zoo.ts';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import { MemoryKeyValue } from '../../../lib/wire/memory-kv.ts';
import { materialise } from '../../../lib/wire/teachers/model-files.ts';
import { InitialModels } from '../../../services/coordinator/initial-models.ts';
import { Registry } from '../../../services/coordinator/registry.ts';
import { realCacheRoot } from '../../helpers/data-root.ts';
import { artefactOf, randomModel } from '../../helpers/random-model.ts';
import { SMALL_CLASS_NAMES, writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const SEED = 20_261_121;
const IMAGE = { height: 32, width: 32, channels: 3 };
const dataOf = (image: ImageShape) => ({ image, classNames: SMALL_CLASS_NAMES });
const NAME = 'earlier/few';
const source = randomModel(architectureNamed('simple-cnn'), IMAGE, SMALL_CLASS_NAMES.length, SEED);

interface Setup {
  readonly models: InitialModels;
  readonly objects: ReturnType<typeof createMemoryStore>;
  /** Publishes a model under `NAME` and answers its digest. */
  publish(artefact: EncodedArtefact): Promise<string>;
}

function setUp({ allowPaths = false, cache = realCacheRoot() } = {}): Setup {
  const [keptModels, keptRoutes] = [new MemoryKeyValue('models'), new MemoryKeyValue('routes')];
  const registry = new Registry(keptModels, keptRoutes);
  const objects = createMemoryStore();
  return {
    models: new InitialModels({ registry, objects, cache, allowPaths }),
    objects,
    publish: async (artefact) => {
      const digest = await storeModel(objects, artefact);
      const manifestJson = new TextDecoder().decode(artefact.manifestBytes);
      const route = { name: 'few', rule: 'max-softmax' as const, classNames: [...SMALL_CLASS_NAMES], legs: [] };
      await registry.publish('job-1', [{ name: NAME, digest, manifestJson }], route, new AbortController().signal);
      return digest;
    },
  };
}

function job(student: string) {
  return parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: demo, data: {dataset: trees},
    teachers: [{name: big, arch: resnet-8}], students: [{name: few, ${student}}]}`);
}

async function smallDataset(t: ExecutionContext) {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'trees');
  const dataset = await openDataset(root, 'trees');
  t.teardown(() => dataset.close());
  return dataset;
}

async function refused(t: ExecutionContext, attempt: Promise<unknown>, message: RegExp) {
  const error = await t.throwsAsync(attempt, { instanceOf: StillhouseError, code: 'INVALID_ARGUMENT' });
  t.is(error?.field, 'students[0].init', error?.message);
  t.regex(error?.message ?? '', message);
  return error;
}

const encoded = (tensors: NamedTensors = source.tensors, classNames: readonly string[] = SMALL_CLASS_NAMES) =>
  artefactOf({ ...source, tensors }, classNames);

test('the name of a published model becomes its digest, which stays itself', async (t) => {
  const { models, publish } = setUp();
  const digest = await publish(encoded());
  const spec = job(`arch: simple-cnn, init: ${NAME}`);
  const resolved = await models.resolve(spec, dataOf(IMAGE));
  t.is(resolved.students[0]?.init, digest);
  t.deepEqual({ ...resolved, students: [] }, { ...spec, students: [] });
  t.deepEqual(await models.resolve(resolved, dataOf(IMAGE)), resolved);
  await refused(
    t,
    models.resolve(job('arch: simple-cnn, init: earlier/none'), dataOf(IMAGE)),
    /no published model "earlier\/none"/,
  );
});

test('a digest also names what is stored without being published, as teachers and checkpoints are', async (t) => {
  const { models, objects } = setUp();
  const digest = await storeModel(objects, encoded());
  const spec = job(`arch: simple-cnn, init: "${digest}"`);
  t.deepEqual(await models.resolve(spec, dataOf(IMAGE)), spec);
  const missing = `sha256:${'0'.repeat(64)}`;
  await refused(t, models.resolve(job(`arch: simple-cnn, init: "${missing}"`), dataOf(IMAGE)), /sha256:000/);
});

test('pre-trained weights are stored as a model, the same one each time', async (t) => {
  const { models, objects } = setUp();
  const spec = job('arch: efficientnet-lite0, init: "pretrained:efficientnet-lite0"');
  const digest = (await models.resolve(spec, dataOf(IMAGE))).students[0]?.init ?? '';
  t.regex(digest, /^sha256:/);
  const { manifest } = await loadModel(objects, digest);
  t.is(manifest.classNames.length, 1000);
  t.is(manifest.lineage.arm, 'imported');
  t.is((await models.resolve(spec, dataOf(IMAGE))).students[0]?.init, digest);
  await refused(
    t,
    models.resolve(job('arch: resnet-8, init: "pretrained:none"'), dataOf(IMAGE)),
    /no pre-trained weights "none"/,
  );
});

test('without the set-up’s weights the job is refused with what to do', async (t) => {
  const { models } = setUp({ cache: await tempFolder(t) });
  const attempt = models.resolve(job('arch: efficientnet-lite0, init: "pretrained:efficientnet-lite0"'), dataOf(IMAGE));
  const error = await refused(t, attempt, /are not in the cache/);
  t.regex(error?.hint ?? '', /npm run setup/);
});

test('files of weights are read where jobs may name them, and nowhere else', async (t) => {
  const file = path.join(await tempFolder(t), 'weights', 'resnet.safetensors');
  await mkdir(path.dirname(file));
  const resnet = randomModel(architectureNamed('resnet-8'), IMAGE, 6, SEED);
  await writeFile(file, encodeSafetensors(resnet.tensors));
  const spec = job(`arch: resnet-8, init: "${file}"`);
  const error = await refused(t, setUp().models.resolve(spec, dataOf(IMAGE)), /does not read files that jobs name/);
  t.regex(error?.hint ?? '', /STILLHOUSE_ALLOW_DATASET_PATHS=1/);

  const { models, objects } = setUp({ allowPaths: true });
  // Nothing says how the images of a CIFAR network were normalised.
  await refused(t, models.resolve(spec, dataOf(IMAGE)), /nothing says how the images were normalised/);
  await writeFile(file, encodeSafetensors(randomModel(architectureNamed('resnet-18'), IMAGE, 6, SEED).tensors));
  await refused(t, models.resolve(spec, dataOf(IMAGE)), /students\[0\]\.init: weights for resnet-8: tensor/);
  const resolved = await models.resolve(job(`arch: resnet-18, init: "${file}"`), dataOf(IMAGE));
  const stored = await loadModel(objects, resolved.students[0]?.init ?? '');
  t.is(stored.manifest.classNames.length, 6);
});

test('weights without a word on their images are for those of the job: its inputSize, else the data set’s', async (t) => {
  const { models, objects } = setUp({ allowPaths: true });
  const folder = await tempFolder(t);
  const small = { height: 28, width: 28, channels: 3 };
  const fileOf = async (architecture: string) => {
    const file = path.join(folder, `${architecture}.safetensors`);
    await writeFile(file, encodeSafetensors(randomModel(architectureNamed(architecture), small, 4, SEED).tensors));
    return file;
  };
  const resnet = `arch: resnet-18, init: "${await fileOf('resnet-18')}"`;
  for (const [student, images, side] of [
    [resnet, IMAGE, 32],
    [resnet, small, 28],
    [`${resnet}, inputSize: 48`, small, 48],
  ] as const) {
    const spec = await models.resolve(job(student), dataOf(images));
    const { manifest } = await loadModel(objects, spec.students[0]?.init ?? '');
    t.deepEqual(manifest.input, { height: side, width: side, channels: 3 });
  }
  // This one's classifier has an input per pixel: the sizes that fit get as far as to what no weights tell.
  const cnn = `arch: simple-cnn, init: "${await fileOf('simple-cnn')}"`;
  await refused(t, models.resolve(job(cnn), dataOf(IMAGE)), /weights for simple-cnn: tensor .* has shape/);
  await refused(
    t,
    models.resolve(job(cnn), dataOf({ ...small, channels: 1 })),
    /weights for simple-cnn: tensor .* has shape/,
  );
  await refused(t, models.resolve(job(cnn), dataOf(small)), /nothing says how the images were normalised/);
  await refused(
    t,
    models.resolve(job(`${cnn}, inputSize: 28`), dataOf(IMAGE)),
    /nothing says how the images were normalised/,
  );
});

test('a model that does not fit is refused before anything trains, with the tensor', async (t) => {
  const dataset = await smallDataset(t);
  const { models, publish } = setUp();
  const check = async (student: string) => models.check(await models.resolve(job(student), dataOf(IMAGE)), dataset);
  await publish(encoded());
  await t.notThrowsAsync(check(`arch: simple-cnn, init: ${NAME}`));
  await refused(
    t,
    check(`arch: resnet-8, init: ${NAME}`),
    /^students\[0\]\.init: model random\/simple-cnn is a simple-cnn, and is to start a resnet-8/,
  );
  const name = source.spec.parameters[0]?.name ?? '';
  await publish(encoded(new Map(source.tensors).set(name, { shape: [1], values: new Float32Array(1) })));
  await refused(t, check(`arch: simple-cnn, init: ${NAME}`), new RegExp(`tensor ${name} has shape \\[1\\], expected`));
});

test('other classes are no misfit: the classifier starts afresh', async (t) => {
  const dataset = await smallDataset(t);
  const { models, publish } = setUp();
  await publish(encoded(source.tensors, ['cat', 'dog', 'fox', 'owl']));
  for (const classes of ['', ', classes: [ash, elm]']) {
    const spec = await models.resolve(job(`arch: simple-cnn, init: ${NAME}${classes}`), dataOf(IMAGE));
    await t.notThrowsAsync(models.check(spec, dataset));
  }
});

test('files of other frameworks are stored as they are, all that a model consists of', async (t) => {
  const folder = await tempFolder(t);
  const location = path.join(folder, 'model.json');
  await mkdir(path.join(folder, 'parts'));
  await writeFile(path.join(folder, 'parts', 'a.bin'), 'weights');
  await writeFile(path.join(folder, 'secret.txt'), 'of nobody’s business');
  await writeFile(location, JSON.stringify({ modelTopology: {}, weightsManifest: [{ paths: ['parts/a.bin'] }] }));
  const given = (from: string) =>
    parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: demo, data: {dataset: trees},
      teachers: [{name: big, from: {${from}}}], students: [{name: few, arch: simple-cnn}]}`);
  const spec = given(`type: tfjs, path: "${location}"`);
  const attempt = setUp().models.resolve(spec, dataOf(IMAGE));
  const error = await t.throwsAsync(attempt, {
    code: 'INVALID_ARGUMENT',
    message: /does not read files that jobs name/,
  });
  t.is((error as StillhouseError).field, 'teachers[0].from.path');

  const { models, objects } = setUp({ allowPaths: true });
  const resolved = await models.resolve(spec, dataOf(IMAGE));
  const from = resolved.teachers[0]?.from;
  const digest = from?.type === 'tfjs' ? from.path : '';
  const entry = await materialise(objects, digest, path.join(folder, 'elsewhere'));
  t.is(path.basename(entry), 'model.json');
  t.deepEqual((await readdir(path.dirname(entry), { recursive: true })).sort(), ['model.json', 'parts', 'parts/a.bin']);
  t.is(await readFile(path.join(path.dirname(entry), 'parts', 'a.bin'), 'utf8'), 'weights');
  // As it was resolved it can be submitted again, also where no files may be named.
  t.deepEqual(await models.resolve(resolved, dataOf(IMAGE)), resolved);
  for (const [path, message] of [
    ['"./model.json"', /not an absolute path/],
    [`"${folder}/none.json"`, /none\.json: there is no such file/],
  ] as const) {
    await t.throwsAsync(models.resolve(given(`type: tfjs, path: ${path}`), dataOf(IMAGE)), {
      code: 'INVALID_ARGUMENT',
      message,
    });
  }
});

test('a teacher’s weights become a model of the data set’s classes where they name none, and must be what the job says', async (t) => {
  const dataset = await smallDataset(t);
  const { models, objects, publish } = setUp({ allowPaths: true });
  const given = (from: string) =>
    parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: demo, data: {dataset: trees},
      teachers: [{name: big, from: {type: weights, ${from}}}], students: [{name: few, arch: simple-cnn}]}`);
  const file = path.join(await tempFolder(t), 'big.safetensors');
  await writeFile(file, encodeSafetensors(randomModel(architectureNamed('resnet-18'), IMAGE, 4, SEED).tensors));
  const resolved = await models.resolve(given(`weights: "${file}", arch: resnet-18`), dataset);
  const from = resolved.teachers[0]?.from;
  const { manifest } = await loadModel(objects, from?.type === 'weights' ? from.weights : '');
  t.deepEqual(manifest.classNames, SMALL_CLASS_NAMES);
  await t.notThrowsAsync(models.check(resolved, dataset));

  await publish(encoded());
  const published = await models.resolve(given(`weights: ${NAME}, arch: resnet-8`), dataset);
  const error = await t.throwsAsync(models.check(published, dataset), { message: /has simple-cnn, not resnet-8/ });
  t.is((error as StillhouseError).field, 'teachers[0].from.arch');
});
