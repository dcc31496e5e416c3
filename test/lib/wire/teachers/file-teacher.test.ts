import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { bytesOf } from '../../../../lib/base/digest.ts';
import { StillhouseError } from '../../../../lib/base/errors.ts';
import { scaleImages } from '../../../../lib/data/scale-images.ts';
import { Compute } from '../../../../lib/distill/compute.ts';
import { configureEngine } from '../../../../lib/engine/environment.ts';
import { tf } from '../../../../lib/engine/tf.ts';
import { exportModel, type FloatFormat } from '../../../../lib/model/export/export-model.ts';
import { DATA_TYPE, encodeOnnxModel, type OnnxNode } from '../../../../lib/model/export/onnx-messages.ts';
import { writeExport } from '../../../../lib/model/export/write-export.ts';
import { architectureNamed } from '../../../../lib/model/zoo.ts';
import { jobOf, openGiven, type TeacherPlace, teacherPlace } from '../../../helpers/given-teacher.ts';
import {
  artefactOf,
  decoded,
  ownLogits,
  randomImages,
  randomModel,
  relativeError,
} from '../../../helpers/random-model.ts';
import { SMALL_CLASS_NAMES } from '../../../helpers/small-dataset.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';

const SEED = 20_261_121;
const TOLERANCE = 1e-4;
const IMAGE = { height: 32, width: 32, channels: 3 };
const IMAGE_SIZE = 32 * 32 * 3;
const model = randomModel(architectureNamed('resnet-8'), IMAGE, SMALL_CLASS_NAMES.length, SEED);
const artefact = decoded(artefactOf(model, SMALL_CLASS_NAMES));
/** Our own exports hold their preprocessing. */
const PIXELS = "input: {scale: '0..255'}";

const [native, plain] = (['native', 'plain'] as const).map((engine) => {
  configureEngine({ intraOpThreads: 1, interOpThreads: 1, engine });
  return new Compute();
}) as [Compute, Compute];

test.after.always(() => Promise.all([native.close(), plain.close()]));

/** Writes the model, and answers where a job finds it. */
async function exported(t: ExecutionContext, format: FloatFormat): Promise<string> {
  const place = path.join(await tempFolder(t), format === 'onnx' ? 'model.onnx' : 'model');
  await writeExport(place, await exportModel(artefact, format, 'dynamic'));
  return format === 'tfjs' ? path.join(place, 'model.json') : place;
}

async function refused(t: ExecutionContext, attempt: Promise<unknown>, code: string, field: string, message: RegExp) {
  const error = await t.throwsAsync(attempt, { instanceOf: StillhouseError, code });
  t.is(error?.field, field, error?.message);
  t.regex(error?.message ?? '', message);
  return error;
}

for (const type of ['onnx', 'saved-model', 'tfjs'] as const) {
  test(`a teacher from ${type} answers what the model answers, its bits whatever else is asked for (seed ${SEED})`, async (t) => {
    const place = await teacherPlace(t, native);
    const location = await exported(t, type);
    const from = `{type: ${type}, path: "${location}", ${PIXELS}}`;
    const teacher = await openGiven(t, place, from, { batchSizes: [4] });
    t.deepEqual(teacher.classNames, SMALL_CLASS_NAMES);
    t.regex(teacher.digest, /^sha256:/);
    const images = randomImages(IMAGE, 6, SEED);
    const logits = await teacher.predict(images.slice(), 6);
    t.true(relativeError(logits, ownLogits(model, images)) < TOLERANCE);
    const third = await teacher.predict(images.slice(2 * IMAGE_SIZE, 3 * IMAGE_SIZE), 1);
    t.deepEqual(third, logits.slice(8, 12));
    // Its files lie in the cache now, where what is damaged is put right.
    const stored = path.join(place.cache, 'teachers');
    const [folder = ''] = await readdir(stored);
    const file = { onnx: 'model.onnx', 'saved-model': 'saved_model.pb', tfjs: 'model.json' }[type];
    const bytes = await readFile(path.join(stored, folder, file));
    await writeFile(path.join(stored, folder, file), bytes.subarray(1));
    const again = await openGiven(t, place, from, { batchSizes: [8], modelDigest: teacher.digest });
    t.true(relativeError(await again.predict(images.slice(), 6), logits) < TOLERANCE);
    t.deepEqual(await readFile(path.join(stored, folder, file)), bytes);
    t.is((await readdir(stored)).length, 1);
  });
}

test('plain TensorFlow.js serves its own models, and says that it has no SavedModels', async (t) => {
  const place = await teacherPlace(t, plain);
  const teacher = await openGiven(t, place, `{type: tfjs, path: "${await exported(t, 'tfjs')}", ${PIXELS}}`);
  const images = randomImages(IMAGE, 2, SEED);
  t.true(relativeError(await teacher.predict(images.slice(), 2), ownLogits(model, images)) < TOLERANCE);
  const saved = `{type: saved-model, path: "${await exported(t, 'saved-model')}", ${PIXELS}}`;
  const error = await refused(t, openGiven(t, place, saved), 'FAILED_PRECONDITION', 'teachers[0].from.path', /plain/);
  t.regex(error?.hint ?? '', /npm run setup/);
});

/** Keras's kind of model: layers, weights in a shard beside `model.json`. */
async function writeLayersModel(folder: string): Promise<{ location: string; model: tf.LayersModel }> {
  const layers = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [16, 16, 3], filters: 3, kernelSize: 3, strides: 2, activation: 'relu' }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 4, activation: 'softmax', name: 'answer' }),
    ],
  });
  await layers.save(
    tf.io.withSaveHandler(async ({ modelTopology, weightSpecs, weightData }) => {
      const weightsManifest = [{ paths: ['parts/weights.bin'], weights: weightSpecs }];
      await writeExport(
        path.join(folder, 'layers'),
        new Map([
          ['model.json', Buffer.from(JSON.stringify({ modelTopology, weightsManifest }))],
          ['parts/weights.bin', new Uint8Array(weightData as ArrayBuffer)],
        ]),
      );
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    }),
  );
  return { location: path.join(folder, 'layers', 'model.json'), model: layers };
}

test('a layers model answers probabilities, which become their logarithms, of images that are scaled for it', async (t) => {
  const place = await teacherPlace(t, native);
  const { location, model: layers } = await writeLayersModel(await tempFolder(t));
  const rest = "input: {size: 16, scale: '-1..1'}, output: {kind: probabilities, name: answer}";
  const teacher = await openGiven(t, place, `{type: tfjs, path: "${location}", ${rest}}`);
  const images = randomImages(IMAGE, 3, SEED);
  const small = scaleImages(images, IMAGE, { height: 16, width: 16, channels: 3 });
  const expected = tf.tidy(() => {
    const input = tf.sub(tf.mul(tf.tensor4d(small, [3, 16, 16, 3]), 2 / 255), 1);
    return tf.log(layers.predict(input) as tf.Tensor).dataSync();
  });
  t.true(relativeError(await teacher.predict(images, 3), expected) < TOLERANCE);
  layers.dispose();
});

interface OnnxSketch {
  readonly initializers?: readonly [];
  readonly inputs?: readonly [];
  readonly outputs?: readonly [];
  readonly shape?: readonly (number | string)[];
  readonly outputShape?: readonly (number | string)[];
  readonly nodes?: readonly OnnxNode[];
}

const node = (op: string, inputs: string[], output: string, attributes: OnnxNode['attributes'] = {}): OnnxNode => ({
  name: output,
  op,
  inputs,
  outputs: [output],
  attributes,
});

const SKETCH_WEIGHTS = bytesOf(Float32Array.from([1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1]));

/** By default: the means of an image's three colours, and their sum, as four logits. */
function sketch({ shape = ['n', 3, 8, 8], outputShape = ['n', 4], nodes, ...rest }: OnnxSketch = {}): Uint8Array {
  return encodeOnnxModel({
    graphName: 'sketch',
    inputs: rest.inputs ?? [{ name: 'pixels', shape }],
    outputs: rest.outputs ?? [{ name: 'scores', shape: outputShape }],
    initializers: rest.initializers ?? [{ name: 'w', dataType: DATA_TYPE.float, shape: [3, 4], bytes: SKETCH_WEIGHTS }],
    nodes: nodes ?? [
      node('GlobalAveragePool', ['pixels'], 'pooled'),
      node('Flatten', ['pooled'], 'flat'),
      node('MatMul', ['flat', 'w'], 'scores'),
    ],
    metadata: {},
  });
}

async function sketched(t: ExecutionContext, options?: OnnxSketch): Promise<string> {
  const file = path.join(await tempFolder(t), 'sketch.onnx');
  await writeFile(file, sketch(options));
  return file;
}

/** Red 51, green 102, blue 255 everywhere. */
function colours(place: TeacherPlace, count: number): Float32Array {
  const { height, width } = place.dataset.image;
  return Float32Array.from({ length: count * height * width * 3 }, (_, at) => [51, 102, 255][at % 3] as number);
}

test('channels first, a scale, mean and deviation per colour, and a batch of the model’s own', async (t) => {
  const place = await teacherPlace(t, native);
  const file = await sketched(t, { shape: [2, 3, 8, 8], outputShape: [2, 4] });
  const input = 'input: {layout: nchw, size: 8, mean: [0.1, 0.2, 0.5], std: [0.1, 0.2, 0.25]}';
  const teacher = await openGiven(t, place, `{type: onnx, path: "${file}", ${input}}`, { batchSizes: [5] });
  const logits = await teacher.predict(colours(place, 3), 3);
  const expected = [1, 1, 2, 4];
  t.true(relativeError(logits, [...expected, ...expected, ...expected]) < TOLERANCE);
  const other = `{type: onnx, path: "${file}", input: {layout: nchw, size: 8, batch: 3}}`;
  await refused(t, openGiven(t, place, other), 'INVALID_ARGUMENT', 'teachers[0].from.input.batch', /takes 2 images/);
});

test('what the model does not have is refused with what it has', async (t) => {
  const place = await teacherPlace(t, native);
  const file = await sketched(t);
  const open = (rest: string) => openGiven(t, place, `{type: onnx, path: "${file}", ${rest}}`);
  const nchw = 'layout: nchw, size: 8';
  const cases: [string, string, RegExp, RegExp][] = [
    [`input: {name: image, ${nchw}}`, 'input.name', /no input "image"/, /pixels float32 \[any, 3, 8, 8\]/],
    [`input: {${nchw}}, output: {name: logits}`, 'output.name', /no output "logits"/, /scores float32 \[any, 4\]/],
    ['input: {size: 8}', 'input.layout', /is \[any, 3, 8, 8\], images would come as \[any, 8, 8, 3\]/, /layout: nchw/],
    ['input: {layout: nchw}', 'input.size', /images would come as \[any, 3, 32, 32\]/, /size: 8/],
    [`input: {${nchw}, type: uint8}`, 'input.type', /is float32, not uint8/, /float32 and float16 and uint8/],
    [`input: {${nchw}}, classNames: [a, b, c]`, 'classNames', /is \[any, 4\], classNames names 3/, /name the classes/],
  ];
  for (const [rest, key, message, hint] of cases) {
    const error = await refused(t, open(rest), 'INVALID_ARGUMENT', `teachers[0].from.${key}`, message);
    t.regex(error?.hint ?? '', hint);
  }
  const saved = `{type: saved-model, path: "${await exported(t, 'saved-model')}", signature: other}`;
  const error = await refused(
    t,
    openGiven(t, place, saved),
    'INVALID_ARGUMENT',
    'teachers[0].from.path',
    /no signature/,
  );
  t.regex(error?.hint ?? '', /serving_default/);
});

test('an answer that is none is named with its row and class', async (t) => {
  const place = await teacherPlace(t, native);
  const input = 'input: {layout: nchw, size: 8}';
  const logs = [
    node('GlobalAveragePool', ['pixels'], 'pooled'),
    node('Flatten', ['pooled'], 'flat'),
    node('MatMul', ['flat', 'w'], 'sums'),
    node('Log', ['sums'], 'scores'),
  ];
  const from = `{type: onnx, path: "${await sketched(t, { nodes: logs })}", ${input}}`;
  const teacher = await openGiven(t, place, from);
  const images = colours(place, 3);
  // The second image has no green.
  for (let at = IMAGE_SIZE + 1; at < 2 * IMAGE_SIZE; at += 3) images[at] = 0;
  await t.throwsAsync(teacher.predict(images, 3), {
    code: 'DATA_LOSS',
    message: /big answers -Infinity .* row 1, class beech/,
  });
  const unlikely = await openGiven(
    t,
    place,
    `{type: onnx, path: "${await sketched(t)}", ${input}, output: {kind: probabilities}}`,
  );
  await t.throwsAsync(unlikely.predict(colours(place, 1), 1), {
    code: 'DATA_LOSS',
    message: /answers 1.6\d* for row 0, class elm, which is no probability/,
  });
});

const field = (id: number, ...parts: Uint8Array[]) => {
  const bytes = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([(id << 3) | 2, bytes.length]), bytes]);
};
const number = (id: number, value: number) => Buffer.from([id << 3, value]);
const text = (id: number, value: string) => field(id, Buffer.from(value));

/** More of the graph: two messages of protobuf one after the other are one. */
const withMore = (model: Uint8Array, ...ofGraph: Uint8Array[]) => Buffer.concat([model, field(7, ...ofGraph)]);

const portOf = (id: number) => (name: string, dataType: number, sizes: readonly number[]) => {
  const shape = [field(1, text(2, 'n')), ...sizes.map((length) => field(1, number(1, length)))];
  return field(id, text(1, name), field(2, field(1, number(1, dataType), field(2, ...shape))));
};
const [input, output] = [portOf(11), portOf(12)];

/** `sketch` with its weights in another file. */
function sketchWithout(weights: string): Uint8Array {
  const location = field(13, text(1, 'location'), text(2, weights));
  const described = [number(1, 3), number(1, 4), number(2, DATA_TYPE.float), text(8, 'w'), location, number(14, 1)];
  return withMore(sketch({ initializers: [] }), field(5, ...described));
}

test('an ONNX model whose weights lie in a file beside it', async (t) => {
  const place = await teacherPlace(t, native);
  const folder = await tempFolder(t);
  const file = path.join(folder, 'sketch.onnx');
  await writeFile(path.join(folder, 'sketch.data'), SKETCH_WEIGHTS);
  await writeFile(file, sketchWithout('sketch.data'));
  const from = `{type: onnx, path: "${file}", input: {layout: nchw, size: 8}}`;
  const teacher = await openGiven(t, place, from);
  t.true(relativeError(await teacher.predict(colours(place, 1), 1), [0.2, 0.4, 1, 1.6]) < TOLERANCE);
  await writeFile(file, sketchWithout('../elsewhere.data'));
  await t.throwsAsync(openGiven(t, place, from), {
    code: 'INVALID_ARGUMENT',
    message: /elsewhere\.data, which is not in/,
  });
});

test('bytes go to a model that takes bytes', async (t) => {
  const place = await teacherPlace(t, native);
  const nodes = [
    node('Cast', ['pixels'], 'floats', { to: { int: DATA_TYPE.float } }),
    node('GlobalAveragePool', ['floats'], 'pooled'),
    node('Flatten', ['pooled'], 'flat'),
    node('MatMul', ['flat', 'w'], 'scores'),
  ];
  const file = path.join(await tempFolder(t), 'bytes.onnx');
  await writeFile(file, withMore(sketch({ nodes, inputs: [] }), input('pixels', DATA_TYPE.uint8, [3, 8, 8])));
  const asked = 'layout: nchw, size: 8, type: uint8';
  const teacher = await openGiven(t, place, `{type: onnx, path: "${file}", input: {${asked}}}`);
  t.deepEqual([...(await teacher.predict(colours(place, 1), 1))], [51, 102, 255, 408]);
  t.throws(() => jobOf(`{type: onnx, path: a, input: {${asked}, std: [2, 2, 2]}}`), {
    message: /uint8 takes pixels as they are/,
  });
});

/** Of `onnx.proto3`. */
const [HALF, DOUBLE, WHOLE] = [10, 11, 6];

test('numbers of half and double precision are numbers, in and out', async (t) => {
  const place = await teacherPlace(t, native);
  const folder = await tempFolder(t);
  const open = async (into: number, outOf: number) => {
    const nodes = [
      node('Cast', ['pixels'], 'floats', { to: { int: DATA_TYPE.float } }),
      node('GlobalAveragePool', ['floats'], 'pooled'),
      node('Flatten', ['pooled'], 'flat'),
      node('MatMul', ['flat', 'w'], 'sums'),
      node('Cast', ['sums'], 'scores', { to: { int: outOf } }),
    ];
    const ports = [input('pixels', into, [3, 8, 8]), output('scores', outOf, [4])];
    const file = path.join(folder, `${into}-${outOf}.onnx`);
    await writeFile(file, withMore(sketch({ nodes, inputs: [], outputs: [] }), ...ports));
    return openGiven(t, place, `{type: onnx, path: "${file}", input: {layout: nchw, size: 8}}`);
  };
  const expected = [0.2, 0.4, 1, 1.6];
  for (const [into, outOf, tolerance] of [
    [DATA_TYPE.float, HALF, 1e-3],
    [DATA_TYPE.float, DOUBLE, TOLERANCE],
    [HALF, HALF, 2e-3],
  ] as const) {
    const logits = await (await open(into, outOf)).predict(colours(place, 2), 2);
    t.true(relativeError(logits, [...expected, ...expected]) < tolerance, `${into} ${outOf}: ${logits}`);
  }
  await refused(t, open(DATA_TYPE.float, WHOLE), 'INVALID_ARGUMENT', 'teachers[0].from.output.name', /is int32/);
  await refused(t, open(DOUBLE, HALF), 'INVALID_ARGUMENT', 'teachers[0].from.input.type', /is float64, not float32/);
});

test('a SavedModel of other numbers than single precision is refused before it is asked', async (t) => {
  const place = await teacherPlace(t, native);
  const location = await exported(t, 'saved-model');
  const file = path.join(location, 'saved_model.pb');
  const saved = await readFile(file);
  // The signature stands behind the graph, which names types too; of its two ports each has a name, then type 1, a float.
  const types = [...saved.keys()].filter((at) => at > saved.lastIndexOf(':0') - 300 && isFloatPort(saved, at));
  t.is(types.length, 2);
  // Half, double, int32.
  for (const [type, message] of [
    [19, /from\.path: the SavedModel has an input or output of other numbers than single precision/],
    [2, /from\.path: the SavedModel has an input or output of other numbers than single precision/],
    [3, /from\.(input\.type|output\.name): .* is DT_INT32/],
  ] as const) {
    for (const at of types) {
      await writeFile(file, Buffer.concat([saved.subarray(0, at), Buffer.of(type), saved.subarray(at + 1)]));
      const opened = openGiven(t, place, `{type: saved-model, path: "${location}", ${PIXELS}}`);
      await t.throwsAsync(opened, { code: 'INVALID_ARGUMENT', message });
    }
  }
});

/** Whether there stands a 1 as the type behind a name that ends in `:0`. */
function isFloatPort(bytes: Buffer, at: number): boolean {
  return bytes[at] === 1 && bytes[at - 1] === 0x10 && bytes.subarray(at - 3, at - 1).toString() === ':0';
}

test('files that are not there, not of that format or outside of their folder are refused', async (t) => {
  const place = await teacherPlace(t, native);
  const folder = await tempFolder(t);
  const file = path.join(folder, 'model.json');
  const open = (type: string, location: string) => openGiven(t, place, `{type: ${type}, path: "${location}"}`);
  await t.throwsAsync(open('onnx', path.join(folder, 'none.onnx')), { code: 'NOT_FOUND', message: /no such file/ });
  await t.throwsAsync(open('saved-model', folder), {
    code: 'NOT_FOUND',
    message: /saved_model\.pb: there is no such file/,
  });
  await writeFile(file, JSON.stringify({ modelTopology: {}, weightsManifest: [{ paths: ['../secret.bin'] }] }));
  await t.throwsAsync(open('tfjs', file), {
    code: 'INVALID_ARGUMENT',
    message: /\.\.\/secret\.bin, which is not in its folder/,
  });
  await writeFile(file, 'not a model at all');
  await t.throwsAsync(open('onnx', file), { code: 'INVALID_ARGUMENT', message: /no ONNX model/ });
  await writeFile(path.join(folder, 'saved_model.pb'), 'not a model at all');
  await t.throwsAsync(open('saved-model', folder), {
    code: 'INVALID_ARGUMENT',
    message: /teachers\[0\]\.from\.path: .*SavedModel/,
  });
});
