/** A group's training with a teacher's logits: what reaches the steps, the progress and the stored model. */
import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { loadModel } from '../../../lib/checkpoint/models.ts';
import { createMemoryStore } from '../../../lib/checkpoint/store.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { Compute } from '../../../lib/distill/compute.ts';
import { decodeRows, encodeRows } from '../../../lib/distill/logits/format.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import { GroupTrainer, type TrainingLogits } from '../../../lib/wire/group-training.ts';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import { planStudent } from '../../../lib/wire/job-plan.ts';
import { wireFormat } from '../../../lib/wire/logits-formats.ts';
import { MemoryBroker } from '../../../lib/wire/memory-bus.ts';
import type { TaskContext } from '../../../lib/wire/task-runner.ts';
import { silent } from '../../helpers/logger.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const CLASSES = 4;
const TEACHERS = [sha256('one'), sha256('two')];

/** The same to the same image. */
function answer(id: number): number[] {
  const random = createRandom(id);
  return Array.from({ length: CLASSES }, () => 3 * random.nextNormal());
}

const jobOf = (...overrides: string[]) =>
  parseJobFile(
    `{apiVersion: stillhouse/v1, kind: Job, name: trees, seed: 5, data: {dataset: trees, calibrate: 12},
    teachers: [{name: big, arch: resnet-8}], students: [{name: few, arch: simple-cnn}],
    distill: {logits: {topK: 2}, temperature: {type: linear, from: 4, to: 1}},
    train: {lanes: 2, microBatch: 4, epochs: 3, keep: best}}`,
    { overrides },
  );

test('logits, whole or their largest alone, train any number of workers alike, and are counted', async (t) => {
  const root = await tempFolder(t);
  const files = [
    ['train', 44],
    ['test', 8],
  ] as const;
  await writeSmallDataset(root, 'trees', { files });
  const dataset = await openDataset(root, 'trees');
  configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
  const compute = new Compute();
  t.teardown(async () => {
    await compute.close();
    await dataset.close();
  });

  const train = async (job: ReturnType<typeof jobOf>, blocks: readonly number[]) => {
    const plan = await planStudent(job, dataset, 'few', false, { init: null, answers: null });
    const format = wireFormat(job, CLASSES);
    const committed: number[] = [];
    let closed = 0;
    const openLogits = async (): Promise<TrainingLogits> => {
      const counted = { cachedSamples: 0, bytesReceived: 0 };
      return {
        get counters() {
          return { ...counted, batchesResent: 2, duplicateAnswers: 1 };
        },
        logits: async ({ ids }) => {
          const full = Array.from(ids).flatMap(answer);
          const bytes = encodeRows(Float32Array.from(full), format);
          counted.cachedSamples += ids.length;
          counted.bytesReceived += bytes.length;
          return decodeRows(bytes, ids.length, format, 'the test’s teacher');
        },
        committed: (step) => committed.push(step),
        close: () => {
          closed += 1;
        },
      };
    };
    const broker = new MemoryBroker();
    const objects = createMemoryStore();
    const members = blocks.map((lanes, index) => ({
      workerId: `student-${index}`,
      firstLane: index === 0 ? 0 : (blocks[0] as number),
      lanes,
    }));
    const task: TaskContext = {
      ...{ signal: new AbortController().signal, leaderEpoch: 1, begun: Promise.resolve() },
      ...{ ready: () => undefined, progress: () => undefined, onTeachers: () => undefined, note: () => undefined },
    };
    const trainers = members.map(() => new GroupTrainer());
    const results = await Promise.all(
      trainers.map((trainer, self) => {
        const bus = broker.connect();
        const worker = { jobId: 'job-1', job, leaderEpoch: 1, workerId: `student-${self}`, dataset, compute };
        const asked = { view: { number: 1, members }, plan, teachers: TEACHERS, openLogits };
        return trainer.run({ ...worker, bus, objects, logger: silent }, asked, task);
      }),
    );
    for (const trainer of trainers) trainer.close();
    t.is(closed, blocks.length);
    const steps = results[0]?.last?.step ?? 0;
    t.is(committed.length, steps * blocks.length);
    for (const { last } of results) {
      const { samplesCommitted, teacherSamples, cachedSamples, batchesResent, duplicateAnswers } = last?.share ?? {};
      t.is(teacherSamples, samplesCommitted);
      t.is(cachedSamples, samplesCommitted);
      t.deepEqual([batchesResent, duplicateAnswers], [2, 1]);
      t.true(Number(last?.share?.logitsBytesReceived) > 0);
      t.true(Number(last?.share?.evaluationMs) > 0);
    }
    const { manifest } = await loadModel(objects, results[0]?.modelDigest ?? '');
    return { digests: results.map(({ last }) => last?.share?.weightsDigest), manifest };
  };

  const alone = await train(jobOf(), [2]);
  const { digests } = await train(jobOf(), [1, 1]);
  t.deepEqual(new Set([...alone.digests, ...digests]).size, 1);
  t.like(alone.manifest.lineage, { arm: 'distil', teacher: TEACHERS[0], teachers: TEACHERS });
  // What the largest logits leave out is felt.
  const whole = await train(jobOf('distill.logits=fp32'), [2]);
  t.notDeepEqual(whole.digests, alone.digests);
});
