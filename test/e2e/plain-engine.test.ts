/** A whole job where TensorFlow's library is not: real processes, a real nats-server, plain TensorFlow.js. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { phaseOf, startCluster } from '../helpers/cluster.ts';
import { SMALL_CLASS_NAMES, writeSmallDataset } from '../helpers/small-dataset.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

const JOB = `
apiVersion: stillhouse/v1
kind: Job
name: plain
data: { dataset: small, train: 16, test: 4, views: { flip: true, shift: 2 } }
teachers: [{ name: big, arch: simple-cnn, train: { microBatch: 8, epochs: 1 } }]
students: [{ name: all, arch: simple-cnn, classes: [${SMALL_CLASS_NAMES.join(', ')}] }]
train: { lanes: 2, microBatch: 4, epochs: 2 }
evaluate: { control: false, routeImages: 4 }
`;

test('a job runs on plain TensorFlow.js, and every worker says loudly that it does', async (t) => {
  t.timeout(240_000);
  const folder = await tempFolder(t);
  await writeSmallDataset(folder, 'small', {
    files: [
      ['train', 20],
      ['test', 6],
    ],
  });
  Object.assign(process.env, { STILLHOUSE_ENGINE: 'plain', STILLHOUSE_DATA: folder, TMPDIR: folder });
  const cluster = await startCluster(t, '--students', '2', '--specialists', '1');
  const job = await cluster.ended(await cluster.submit(JOB));
  t.is(job.state, 'JOB_STATE_SUCCEEDED', job.message);
  const teacher = phaseOf(job, 'PHASE_KIND_TRAIN_TEACHER', 'big');
  const student = phaseOf(job, 'PHASE_KIND_DISTIL', 'all');
  t.deepEqual([teacher.step, student.step], [2, 4]);
  t.is(student.workers.length, 2);
  t.is(student.workers[0]?.weightsDigest, student.workers[1]?.weightsDigest);
  t.is(phaseOf(job, 'PHASE_KIND_EVALUATE_ROUTE', 'plain').evaluatedImages, 4);
  for (const { notice } of [teacher, student]) {
    t.regex(notice, /run eagerly .* because plain TensorFlow\.js has no graph to compile/);
  }
  const files = await readdir(folder, { recursive: true });
  for (const worker of ['teacher-1', 'student-1', 'student-2', 'specialist-1']) {
    const log = files.find((file) => file.endsWith(`${path.sep}${worker}.log`)) as string;
    const warnings = (await readFile(path.join(folder, log), 'utf8')).match(/^WARNING: .*$/gm);
    t.is(warnings?.length, 1, worker);
    t.regex(
      warnings?.[0] as string,
      /plain TensorFlow\.js, which is slower by orders of magnitude: STILLHOUSE_ENGINE is/,
    );
  }
});
