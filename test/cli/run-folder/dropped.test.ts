import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { saveDropped } from '../../../cli/run-folder/dropped.ts';
import { sha256 } from '../../../lib/base/digest.ts';
import { storeDropped } from '../../../lib/checkpoint/dropped.ts';
import { createMemoryStore } from '../../../lib/checkpoint/store.ts';
import { jobSnapshot, phaseSnapshot } from '../../helpers/job-snapshots.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const datasetDigest = sha256('data');
const job = (droppedDigest: string) =>
  jobSnapshot('JOB_STATE_SUCCEEDED', [
    phaseSnapshot('PHASE_KIND_TRAIN_TEACHER', 'PHASE_STATE_DONE', 'big'),
    phaseSnapshot('PHASE_KIND_DISTIL', 'PHASE_STATE_DONE', 'few', { droppedDigest }),
  ]);

test('every epoch of a training is listed, in a file per training', async (t) => {
  const folder = path.join(await tempFolder(t), 'dropped');
  await mkdir(folder);
  await writeFile(path.join(folder, 'old.json'), '');
  const objects = createMemoryStore();
  const epochs = [Uint32Array.of(2, 5), Uint32Array.of(1, 9), Uint32Array.of()];
  const digest = await storeDropped(objects, { datasetDigest, epochs });
  t.deepEqual(await saveDropped(objects, job(digest), folder), new Map([[digest, [2, 2, 0]]]));
  t.deepEqual(await readdir(folder), ['distil-few.json']);
  const text = await readFile(path.join(folder, 'distil-few.json'), 'utf8');
  t.deepEqual(JSON.parse(text), { datasetDigest, epochs: { 1: [2, 5], 2: [1, 9], 3: [] } });
  t.regex(text, /^ {4}"2": \[1, 9\],$/m);
});

test('a list that is not there leaves nothing half written', async (t) => {
  const root = await tempFolder(t);
  const folder = path.join(root, 'dropped');
  t.is((await saveDropped(createMemoryStore(), job(''), folder)).size, 0);
  t.false(existsSync(folder));
  await t.throwsAsync(saveDropped(createMemoryStore(), job(sha256('gone')), folder), { message: /no object/ });
  t.deepEqual(await readdir(root), []);
});
