import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { OnnxSession } from '../../lib/engine/onnx-runtime.ts';
import { type Tensor, tf } from '../../lib/engine/tf.ts';
import { writeArtefactFolder } from '../../lib/model/artefact.ts';
import { decodeSafetensors } from '../../lib/model/safetensors.ts';
import { architectureNamed } from '../../lib/model/zoo.ts';
import { runCli } from '../helpers/cli.ts';
import { serveFiles } from '../helpers/file-server.ts';
import { artefactOf, ownLogits, randomImages, randomModel, relativeError } from '../helpers/random-model.ts';
import { SMALL_CLASS_NAMES, writeSmallDataset } from '../helpers/small-dataset.ts';
import { tempFolder } from '../helpers/temp-folder.ts';
import { tfNode } from '../helpers/tfjs-node.ts';

const SEED = 20_261_121;
const SIZE = { height: 32, width: 32, channels: 3 };
const model = randomModel(architectureNamed('resnet-8'), SIZE, SMALL_CLASS_NAMES.length, SEED);
const images = randomImages(SIZE, 3, SEED);
const expected = ownLogits(model, images);
const artefact = artefactOf(model, SMALL_CLASS_NAMES);
const TOLERANCE = 1e-4;

async function workplace(t: ExecutionContext) {
  const root = await tempFolder(t);
  const folder = path.join(root, 'model');
  await writeArtefactFolder(folder, artefact);
  await writeSmallDataset(root, 'trees');
  const run = (...args: string[]) =>
    runCli(t, ['weights', 'export', ...args], { STILLHOUSE_DATA: root, STILLHOUSE_CACHE: path.join(root, 'cache') });
  return { root, folder, run, inRoot: (name: string) => path.join(root, name) };
}

test('a model goes out as ONNX, safetensors, SavedModel and TensorFlow.js', async (t) => {
  const { folder, run, inRoot } = await workplace(t);
  const results = await Promise.all([
    run(folder, '--format', 'onnx', '--out', inRoot('model.onnx')),
    run(folder, '--format', 'safetensors', '--out', inRoot('out.safetensors'), '--batch-size', '3'),
    run(folder, '--format', 'saved-model', '--out', inRoot('new/saved')),
    run(folder, '--format', 'tfjs', '--out', inRoot('tfjs')),
  ]);
  for (const { code, out, err } of results) {
    t.is(code, 0, err);
    t.regex(out, /^wrote \S+: random\/resnet-8 as \S+, [\d,]+ bytes\n$/);
  }
  const session = await OnnxSession.open(await readFile(inRoot('model.onnx')));
  const logits = (await session.run(images, [3, 32, 32, 3])).get('logits') as Float32Array;
  t.true(relativeError(logits, expected) < TOLERANCE);
  await session.close();

  const { tensors, metadata } = decodeSafetensors(await readFile(inRoot('out.safetensors')), 'the export');
  t.deepEqual([...tensors.keys()].sort(), [...model.tensors.keys()].sort());
  t.deepEqual(tensors.get('fc.weight'), model.tensors.get('fc.weight'));
  t.is(metadata['stillhouse.model'], artefact.digest);
  t.deepEqual(JSON.parse(metadata['stillhouse.classNames'] as string), SMALL_CLASS_NAMES);

  const x = tf.tensor4d(images, [3, 32, 32, 3]);
  const saved = await tfNode.node.loadSavedModel(inRoot('new/saved'));
  const [info] = await tfNode.node.getMetaGraphsFromSavedModel(inRoot('new/saved'));
  t.deepEqual(Object.keys(info?.signatureDefs.serving_default?.inputs ?? {}), ['image']);
  const answer = (saved.predict({ image: x }) as Record<string, Tensor>).logits as Tensor;
  t.true(relativeError(answer.dataSync(), expected) < TOLERANCE);
  const browser = await tf.loadGraphModel(tfNode.io.fileSystem(inRoot('tfjs/model.json')));
  const said = browser.predict(x) as Tensor;
  t.true(relativeError(said.dataSync(), expected) < TOLERANCE);
  tf.dispose([x, answer, said]);
  saved.dispose();
  browser.dispose();
});

test('eight bits: the accuracy before and after is printed and kept in the file', async (t) => {
  const { folder, run, inRoot } = await workplace(t);
  const out = inRoot('model.int8.onnx');
  const sizes = ['--calibration-images', '12', '--evaluate-images', '6'];
  const result = await run(folder, '--format', 'onnx-int8', '--out', out, '--calibrate', 'trees', ...sizes);
  t.is(result.code, 0, result.err);
  t.regex(result.out, /float32 +[\d.]+ % +[\d,]+\nint8 +[\d.]+ % +[\d,]+\nchange [+-][\d.]+ points; same answer for /);
  t.regex(result.out, /6 test images; calibrated with 12 training images\n$/);
  const bytes = await readFile(out);
  t.regex(bytes.toString('latin1'), /"accuracy":\{"float32":[\d.]+,"int8":[\d.]+\}/);
  const session = await OnnxSession.open(bytes);
  const logits = (await session.run(images, [3, 32, 32, 3])).get('logits') as Float32Array;
  t.true(relativeError(logits, expected) < 0.1, String(relativeError(logits, expected)));
  await session.close();
});

test('eight bits of a model whose job knew some classes of the data set only', async (t) => {
  const { run, inRoot } = await workplace(t);
  const few = randomModel(architectureNamed('resnet-8'), SIZE, 2, SEED);
  await writeArtefactFolder(inRoot('few'), artefactOf(few, ['elm', 'ash']));
  const sizes = ['--calibration-images', '2', '--evaluate-images', '1'];
  const args = [inRoot('few'), '--format', 'onnx-int8', '--out', inRoot('few.onnx'), '--calibrate', 'trees', ...sizes];
  const { code, out, err } = await run(...args);
  t.is(code, 0, err);
  t.regex(out, /1 test images; calibrated with 2 training images\n$/);
});

test('eight bits, calibrated with a data set at an address', async (t) => {
  const { root, folder, run, inRoot } = await workplace(t);
  const names = await readdir(inRoot('trees'));
  const files = names.map(async (name) => [`/trees/${name}`, await readFile(inRoot(`trees/${name}`))] as const);
  const server = await serveFiles(t, Object.fromEntries(await Promise.all(files)));
  const sizes = ['--calibration-images', '2', '--evaluate-images', '1'];
  const args = [folder, '--format', 'onnx-int8', '--out', inRoot('far.onnx'), '--calibrate', `${server.url}/trees`];
  const { code, out, err } = await run(...args, ...sizes);
  t.is(code, 0, err);
  t.regex(out, /1 test images; calibrated with 2 training images\n$/);
  t.true((await readdir(path.join(root, 'cache', 'shards'))).length > 0);
});

test('what cannot be exported is refused, and nothing is written', async (t) => {
  const { root, folder, run, inRoot } = await workplace(t);
  await writeFile(inRoot('taken'), 'mine');
  const before = (await readdir(root)).sort();
  const out = inRoot('out');
  const cases = [
    { args: [folder, '--format', 'pickle', '--out', out], code: 2, err: /--format.*pickle.*Allowed choices are/ },
    { args: [folder, '--format', 'onnx', '--out', out, '--batch-size', '0'], code: 2, err: /from 1 to.*Or dynamic/ },
    { args: [inRoot('nowhere'), '--format', 'onnx', '--out', out], code: 1, err: /cannot read the model in .*nowhere/ },
    { args: [folder, '--format', 'tfjs', '--out', inRoot('taken')], code: 1, err: /taken exists already \(remove it/ },
    { args: [folder, '--format', 'onnx-int8', '--out', out], code: 1, err: /needs images to calibrate with/ },
    { args: [folder, '--format', 'tfjs', '--out', out, '--calibrate', 'trees'], code: 1, err: /of no use for .* tfjs/ },
  ];
  const results = await Promise.all(cases.map(({ args }) => run(...args)));
  for (const [index, { code, err }] of cases.entries()) {
    const result = results[index] as (typeof results)[number];
    t.is(result.code, code, result.err);
    t.regex(result.err, err);
    t.is(result.out, '');
  }
  t.deepEqual((await readdir(root)).sort(), before);
  t.is(await readFile(inRoot('taken'), 'utf8'), 'mine');
});
