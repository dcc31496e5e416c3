/** What a model answers decides on the digest of its answers, and nothing else. */
import path from 'node:path';
import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { answersDigest } from '../../../lib/model/answers-digest.ts';
import { resolveArchitecture } from '../../../lib/model/architecture-choice.ts';
import { encodeArtefact, type ModelManifest, writeArtefactFolder } from '../../../lib/model/artefact.ts';
import { importModel } from '../../../lib/model/imported-model.ts';
import { openWeights } from '../../../lib/model/weights-source.ts';
import { artefactOf, randomModel } from '../../helpers/random-model.ts';
import { smallManifest, smallTensors } from '../../helpers/small-model.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const { manifest } = encodeArtefact(smallManifest, smallTensors());

test('who has trained a model, its name and what was measured make no difference', (t) => {
  const { metrics: _, ...plain } = smallManifest;
  const lineage = { ...plain.lineage, job: 'job-2', jobSpecDigest: sha256('other'), teacher: null };
  const again = encodeArtefact({ ...plain, name: 'other/name', lineage } as typeof smallManifest, smallTensors());
  t.not(again.digest, encodeArtefact(smallManifest, smallTensors()).digest);
  t.is(answersDigest(again.manifest), answersDigest(manifest));
});

test('everything that answers depend on makes a difference', (t) => {
  const { preprocessing, input, architecture, weights } = manifest;
  const others: ModelManifest[] = [
    encodeArtefact(smallManifest, smallTensors(2)).manifest,
    { ...manifest, classNames: ['ash', 'beech'], classIds: [0, 1] },
    { ...manifest, dustbin: true },
    { ...manifest, preprocessing: { ...preprocessing, mean: [0.5, 0.4822, 0.4465] } },
    { ...manifest, preprocessing: { ...preprocessing, std: [0.247, 0.25, 0.2616] } },
    { ...manifest, input: { ...input, height: 40 } },
    { ...manifest, architecture: { ...architecture, parameters: { filters: 2, bias: false } } },
    { ...manifest, architecture: { ...architecture, name: 'resnet8' } },
    { ...manifest, weights: { ...weights, digest: sha256('other weights') } },
  ];
  const digests = new Set([manifest, ...others].map(answersDigest));
  t.is(digests.size, others.length + 1);
});

test('a model that is brought along from a folder answers as it did', async (t) => {
  const root = await tempFolder(t);
  const images = { height: 32, width: 32, channels: 3 };
  const cases = [
    { spec: 'simple-cnn', input: images },
    { spec: { name: 'simple-cnn', dropout: 0.1 }, input: images },
    { spec: 'simple-cnn', input: { ...images, height: 40, width: 40 } },
  ];
  for (const [index, { spec, input }] of cases.entries()) {
    const model = randomModel(resolveArchitecture(spec), input, 4, index);
    const artefact = artefactOf(model, ['ash', 'beech', 'cedar', 'elm'], images, spec);
    const folder = path.join(root, String(index));
    await writeArtefactFolder(folder, artefact);
    const imported = importModel(await openWeights(folder, root), { input: images });
    t.not(imported.digest, artefact.digest);
    t.is(answersDigest(imported.manifest), answersDigest(artefact.manifest), `case ${index}`);
  }
});
