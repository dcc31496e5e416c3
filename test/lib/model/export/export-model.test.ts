import path from 'node:path';
import test from 'ava';
import type { ImageShape } from '../../../../lib/data/manifest.ts';
import { Compute } from '../../../../lib/distill/compute.ts';
import { createPredictor } from '../../../../lib/distill/predictor.ts';
import { OnnxSession } from '../../../../lib/engine/onnx-runtime.ts';
import { type Tensor, tf } from '../../../../lib/engine/tf.ts';
import { type ArchitectureSpec, resolveArchitecture } from '../../../../lib/model/architecture-choice.ts';
import type { DecodedArtefact } from '../../../../lib/model/artefact.ts';
import { type ExportedModel, exportModel } from '../../../../lib/model/export/export-model.ts';
import { writeExport } from '../../../../lib/model/export/write-export.ts';
import { decodeSafetensors } from '../../../../lib/model/safetensors.ts';
import { artefactOf, decoded, randomImages, randomModel, relativeError } from '../../../helpers/random-model.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';
import { tfNode } from '../../../helpers/tfjs-node.ts';

const SEED = 20_261_121;
const TOLERANCE = 1e-4;
const CLASS_NAMES = ['ash', 'beech', 'elm', 'oak'];
const IMAGES = 3;

const ownLayers = {
  name: 'stripes',
  layers: [
    { kind: 'conv2d', name: 'first', filters: 5, kernel: 3, stride: 2, padding: 1, bias: true },
    { kind: 'relu' },
    { kind: 'global-average-pool' },
    { kind: 'linear', name: 'fc', features: 'classes' },
  ],
};

const models: { title: string; architecture: ArchitectureSpec; images: ImageShape; side: number }[] = [
  { title: 'one of the layers that a user wrote', architecture: ownLayers, images: rectangle(24, 24), side: 24 },
  {
    title: 'one with another dropout that scales its images up, by a factor that is not whole',
    architecture: { name: 'resnet-8', dropout: 0.25 },
    images: rectangle(20, 27),
    side: 32,
  },
  { title: 'one that scales its images down', architecture: 'simple-cnn', images: rectangle(75, 50), side: 32 },
];

for (const { title, architecture, images, side } of models) {
  test.serial(`every format of a model computes what it is served with: ${title} (seed ${SEED})`, async (t) => {
    const model = randomModel(resolveArchitecture(architecture), rectangle(side, side), CLASS_NAMES.length, SEED);
    const artefact = decoded(artefactOf(model, CLASS_NAMES, images, architecture));
    const pixels = randomImages(images, IMAGES, SEED);
    const expected = await servedLogits(artefact, pixels);
    const { height, width, channels } = images;
    const shape: [number, number, number, number] = [IMAGES, height, width, channels];
    const close = (logits: ArrayLike<number>, format: string) => {
      const error = relativeError(logits, expected);
      t.true(error < TOLERANCE, `${format}: ${error}`);
    };

    const onnx = await OnnxSession.open((await exportModel(artefact, 'onnx', 'dynamic')) as Uint8Array);
    close((await onnx.run(pixels, shape)).get('logits') as Float32Array, 'onnx');
    await onnx.close();

    const folder = await tempFolder(t);
    const place = async (exported: ExportedModel, name: string) => {
      await writeExport(path.join(folder, name), exported);
      return path.join(folder, name);
    };
    const x = tf.tensor4d(pixels, shape);
    const saved = await tfNode.node.loadSavedModel(
      await place(await exportModel(artefact, 'saved-model', 'dynamic'), 'saved'),
    );
    const answers = saved.predict({ image: x }) as Record<string, Tensor>;
    close((answers.logits as Tensor).dataSync(), 'saved-model');
    saved.dispose();
    const tfjs = await place(await exportModel(artefact, 'tfjs', IMAGES), 'tfjs');
    const loaded = await tf.loadGraphModel(tfNode.io.fileSystem(path.join(tfjs, 'model.json')));
    close((loaded.predict(x) as Tensor).dataSync(), 'tfjs');
    loaded.dispose();

    const { tensors } = decodeSafetensors((await exportModel(artefact, 'safetensors', 'dynamic')) as Uint8Array, 'it');
    t.deepEqual([...tensors.keys()].sort(), [...artefact.tensors.keys()].sort());
  });
}

test(`a model with a dustbin says so in every format, one without says nothing (seed ${SEED})`, async (t) => {
  const images = rectangle(32, 32);
  for (const hasDustbin of [true, false]) {
    const outputs = CLASS_NAMES.length + (hasDustbin ? 1 : 0);
    const model = randomModel(resolveArchitecture('gap-cnn'), images, outputs, SEED);
    const artefact = decoded(artefactOf(model, CLASS_NAMES, images));
    t.is(artefact.manifest.dustbin === true, hasDustbin);
    const expected = {
      'stillhouse.classNames': JSON.stringify(CLASS_NAMES),
      'stillhouse.dustbin': hasDustbin ? 'true' : undefined,
    };
    const said = (metadata: Record<string, string | undefined>) => {
      const found = Object.keys(expected).map((key) => [key, metadata[key]]);
      t.deepEqual(Object.fromEntries(found), expected);
    };

    const onnx = (await exportModel(artefact, 'onnx', 1)) as Uint8Array;
    // A pair of the file's metadata: key, then field 2 of four bytes.
    t.is(Buffer.from(onnx).includes('stillhouse.dustbin\x12\x04true'), hasDustbin);
    const session = await OnnxSession.open(onnx);
    const logits = (await session.run(randomImages(images, 1, SEED), [1, 32, 32, 3])).get('logits');
    t.is(logits?.length, outputs);
    await session.close();

    said(decodeSafetensors((await exportModel(artefact, 'safetensors', 1)) as Uint8Array, 'it').metadata);
    const saved = (await exportModel(artefact, 'saved-model', 1)) as ReadonlyMap<string, Uint8Array>;
    said(readJson(saved.get('assets.extra/stillhouse.json')));
    const tfjs = (await exportModel(artefact, 'tfjs', 1)) as ReadonlyMap<string, Uint8Array>;
    said(readJson(tfjs.get('model.json')).userDefinedMetadata);
  }
});

test('what the manifest says of the architecture is checked', async (t) => {
  const simpleCnn = randomModel(resolveArchitecture('simple-cnn'), rectangle(32, 32), CLASS_NAMES.length, SEED);
  const unknown = decoded(artefactOf(simpleCnn, CLASS_NAMES, rectangle(32, 32), 'simple-cnn-2'));
  await t.throwsAsync(exportModel(unknown, 'onnx', 'dynamic'), {
    code: 'NOT_FOUND',
    message: /no architecture "simple-cnn-2"/,
  });
  const other = decoded(artefactOf(simpleCnn, CLASS_NAMES, rectangle(32, 32), ownLayers));
  await t.throwsAsync(exportModel(other, 'tfjs', 'dynamic'), {
    code: 'INVALID_ARGUMENT',
    message: /weights for stripes: tensor .* is not one of its tensors/,
  });
});

function readJson(bytes: Uint8Array | undefined) {
  return JSON.parse(new TextDecoder().decode(bytes));
}

function rectangle(height: number, width: number): ImageShape {
  return { height, width, channels: 3 };
}

async function servedLogits({ manifest, tensors }: DecodedArtefact, images: Float32Array): Promise<Float32Array> {
  const compute = new Compute();
  try {
    const predictor = await createPredictor(manifest, tensors, { compute });
    const logits = await predictor.predict(images.slice(), IMAGES);
    await predictor.close();
    return logits;
  } finally {
    await compute.close();
  }
}
