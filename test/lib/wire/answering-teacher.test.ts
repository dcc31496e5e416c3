/** What is known of a teacher without opening it. */
import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { storeModel } from '../../../lib/checkpoint/models.ts';
import { createMemoryStore } from '../../../lib/checkpoint/store.ts';
import { encodeArtefact } from '../../../lib/model/artefact.ts';
import { answeringTeacher } from '../../../lib/wire/answering-teacher.ts';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import { smallManifest, smallTensors } from '../../helpers/small-model.ts';

const dataset = { classNames: ['ash', 'beech', 'cedar'] };

function jobOf(from: string) {
  return parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: trees, data: {dataset: trees},
    teachers: [{name: big, from: {${from}}}], students: [{name: few, arch: simple-cnn}]}`);
}

test('a teacher of given weights has the classes of the stored model, others those that the job declares', async (t) => {
  const objects = createMemoryStore();
  const modelDigest = await storeModel(objects, encodeArtefact(smallManifest, smallTensors()));
  const { signal } = new AbortController();
  const of = (from: string, digest: string) =>
    answeringTeacher({ job: jobOf(from), dataset, objects, signal }, { teacher: 'big', modelDigest: digest });
  const stored = await of('type: weights, weights: ./big', modelDigest);
  t.deepEqual(stored.classNames, ['beech', 'ash']);
  t.not(stored.answersDigest, modelDigest);
  const declared = await of('type: onnx, path: ./big.onnx, classNames: [cedar, ash]', sha256('onnx'));
  t.deepEqual(declared.classNames, ['cedar', 'ash']);
  t.deepEqual((await of('type: onnx, path: ./big.onnx', sha256('onnx'))).classNames, dataset.classNames);
});
