/** A job whose teachers are there already, in a file and behind a server: real processes on loopback, real CIFAR-10. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { StillhouseError } from '../../lib/base/errors.ts';
import { exportModel } from '../../lib/model/export/export-model.ts';
import { architectureNamed } from '../../lib/model/zoo.ts';
import { phaseOf, startCluster } from '../helpers/cluster.ts';
import { serveFirstValues } from '../helpers/first-values.ts';
import { artefactOf, decoded, randomModel } from '../helpers/random-model.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

const SEED = 20_261_121;
const CLASS_NAMES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];

test(`an ONNX model and a server's model are evaluated, label and teach (seed ${SEED})`, async (t) => {
  t.timeout(120_000);
  const model = randomModel(architectureNamed('resnet-8'), { height: 32, width: 32, channels: 3 }, 10, SEED);
  const file = path.join(await tempFolder(t), 'model.onnx');
  const onnx = await exportModel(decoded(artefactOf(model, CLASS_NAMES)), 'onnx', 'dynamic');
  await writeFile(file, onnx as Uint8Array);
  const { backend, server } = await serveFirstValues(t);
  backend.classes = 10;
  backend.divisor = 100;
  // It has too much to do, once.
  backend.failures.push(new StillhouseError('RESOURCE_EXHAUSTED', 'busy'));
  const { submit, ended } = await startCluster(t, '--students', '1', '--teachers', '1', '--specialists', '1');
  const job = await ended(
    await submit(`
apiVersion: stillhouse/v1
kind: Job
name: given
seed: 11
data: { dataset: cifar10, train: 96, test: 40, views: {} }
teachers:
  - { name: file, from: { type: onnx, path: "${file}", input: { scale: 0..255 } } }
  - { name: far, from: { type: endpoint, url: "http://127.0.0.1:${server.httpPort}", model: first, input: { name: image, type: uint8 } } }
students: [{ name: few, arch: gap-cnn }]
distill: { loss: [{ type: kl, weight: 1 }], temperature: 2 }
train: { lanes: 4, microBatch: 12, epochs: 2 }
averaging: { workers: 1 }
evaluate: { control: false, routeImages: 0 }
`),
  );
  t.is(job.state, 'JOB_STATE_SUCCEEDED', job.message);
  for (const name of ['file', 'far']) {
    t.is(phaseOf(job, 'PHASE_KIND_EVALUATE_TEACHER', name).evaluatedImages, 40);
    t.is(phaseOf(job, 'PHASE_KIND_LABEL', name).state, 'PHASE_STATE_DONE');
  }
  const { workers } = phaseOf(job, 'PHASE_KIND_DISTIL', 'few');
  t.deepEqual(
    workers.map(({ teacherSamples, samplesCommitted }) => [teacherSamples, samplesCommitted]),
    [[192, 192]],
  );
  t.deepEqual(backend.failures, []);
  t.deepEqual(backend.last?.inputs[0]?.shape.slice(1), [32, 32, 3]);
});
