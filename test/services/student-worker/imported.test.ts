/** The real EfficientNet-Lite0 weights that the set-up brings: imported, stored, served, and compared with PyTorch. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import sharp from 'sharp';
import { sha256 } from '../../../lib/base/digest.ts';
import { loadModel, storeModel } from '../../../lib/checkpoint/models.ts';
import { createMemoryStore } from '../../../lib/checkpoint/store.ts';
import { Compute } from '../../../lib/distill/compute.ts';
import { openModel } from '../../../lib/distill/predictor.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import { importModel } from '../../../lib/model/imported-model.ts';
import { openWeights } from '../../../lib/model/weights-source.ts';
import { outputOf } from '../../../lib/wire/oip/client.ts';
import { textValues } from '../../../lib/wire/oip/raw-tensor.ts';
import { SpecialistServer } from '../../../services/student-worker/serve.ts';
import { realCacheRoot } from '../../helpers/data-root.ts';
import { testLogger } from '../../helpers/logger.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
type Golden = Record<string, { pixels: string; logits: number[] }>;
const golden: Golden = JSON.parse(readFileSync(path.join(root, 'goldens/efficientnet-lite0.json'), 'utf8'));

/** What the photographs show. */
const classOf: Record<string, string> = { 'chelsea.jpg': 'Egyptian cat', 'coffee.jpg': 'espresso' };

function relativeError(values: ArrayLike<number>, expected: readonly number[]): number {
  const differences = expected.map((value, index) => (values[index] as number) - value);
  return Math.hypot(...differences) / Math.hypot(...expected);
}

test('photographs are recognised by the imported network, and its logits are PyTorch’s', async (t) => {
  const source = await openWeights('pretrained:efficientnet-lite0', realCacheRoot());
  const artefact = importModel(source, {});
  const { digest: sourceDigest } = source.file;
  t.deepEqual(artefact.manifest.lineage, {
    arm: 'imported',
    source: { file: 'efficientnet-lite0-57934424.pth', digest: sourceDigest },
  });
  const store = createMemoryStore();
  const digest = await storeModel(store, artefact);

  configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
  const compute = new Compute();
  t.teardown(() => compute.close());
  const specialist = new SpecialistServer({
    load: async (wanted) => {
      const { manifest, tensors } = await loadModel(store, wanted);
      return { manifest, predictor: await openModel(compute, manifest, tensors, [1]) };
    },
    retireAfterMs: 0,
    logger: testLogger(),
  });
  await specialist.serveModels([{ name: 'lite0', digest }]);
  t.deepEqual(Object.keys(golden), Object.keys(classOf));
  for (const [photo, { pixels, logits: expected }] of Object.entries(golden)) {
    const jpeg = readFileSync(path.join(root, 'fixtures/photos', photo));
    t.is(sha256(await sharp(jpeg).raw().toBuffer()), pixels, `${photo} is decoded to other pixels than for the golden`);
    const inputs = [{ name: 'image_bytes', datatype: 'BYTES' as const, shape: [1], values: [jpeg] }];
    const request = { modelName: 'lite0', modelVersion: '', id: '', parameters: {}, inputs, outputs: [] };
    const response = await specialist.infer(request, { signal: new AbortController().signal });
    const logits = outputOf(response, 'logits').values as Float32Array;
    t.is(logits.length, 1000);
    const error = relativeError(logits, expected);
    t.true(error <= 1e-4, `${photo}: relative error ${error}`);
    t.log(`${photo}: relative error ${error.toExponential(1)}`);
    t.deepEqual(textValues(outputOf(response, 'label')), [classOf[photo]]);
  }
  await specialist.close();
});
