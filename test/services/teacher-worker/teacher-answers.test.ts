/** How much a teacher holds in memory: images on their way to the engine, answers that may be asked for again. */
import test, { type ExecutionContext } from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import type { Dataset } from '../../../lib/data/dataset.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { NO_VIEWS, type View, type ViewsSpec } from '../../../lib/data/views.ts';
import { AnswerCache } from '../../../services/teacher-worker/answer-cache.ts';
import { TeacherAnswers } from '../../../services/teacher-worker/teacher-answers.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const CLASSES = 2;
const never = new AbortController().signal;

/** A teacher whose predictions end when the test says so: a sample's logits are the mean of its pixels, twice. */
async function teacher(t: ExecutionContext, views: ViewsSpec = NO_VIEWS) {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'trees', { files: [['train', 40]] });
  const real = await openDataset(root, 'trees');
  t.teardown(() => real.close());
  const loaded: number[] = [];
  const dataset: Dataset = Object.create(real, {
    load: {
      value: async (ids: ArrayLike<number>, view?: View) => {
        loaded.push(...Array.from(ids));
        if (ids[0] === 39) throw new StillhouseError('DATA_LOSS', 'the shard ends early');
        return real.load(ids, view);
      },
    },
    sampleCount: { value: real.sampleCount },
  });
  const predictions: (() => void)[] = [];
  const predict = async (images: Float32Array, count: number) => {
    await new Promise<void>((end) => predictions.push(end));
    const size = images.length / count;
    return Float32Array.from({ length: count * CLASSES }, (_, at) => {
      const row = Math.floor(at / CLASSES);
      return images.subarray(row * size, (row + 1) * size).reduce((sum, value) => sum + value, 0) / size;
    });
  };
  const answers = new TeacherAnswers({ dataset, seed: 5, views, classes: CLASSES, labels: null, predict });
  return { answers, loaded, predictions };
}

/** Lets everything run that waits for nothing from outside. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

test('of the batches that are asked for only three are in memory, and they are answered in their order', async (t) => {
  const { answers, loaded, predictions } = await teacher(t);
  const ended: number[] = [];
  const asked = Array.from({ length: 12 }, (_, id) =>
    answers.of({ ids: [id], partners: null, epoch: 0 }, never).then(() => ended.push(id)),
  );
  for (let done = 0; done < 12; done++) {
    for (let turn = 0; turn < 5; turn++) await settle();
    t.deepEqual(
      loaded,
      Array.from({ length: Math.min(12, done + 3) }, (_, id) => id),
    );
    (predictions[done] as () => void)();
  }
  await Promise.all(asked);
  t.deepEqual(
    ended,
    Array.from({ length: 12 }, (_, id) => id),
  );
});

test('a batch that fails, and students that go away, make room for those that wait', async (t) => {
  const { answers, loaded, predictions } = await teacher(t);
  const gone = new AbortController();
  const of = (id: number, signal = never) => answers.of({ ids: [id], partners: null, epoch: 0 }, signal);
  const running = [of(0), of(1), of(39)];
  const waiting = [of(2, gone.signal), of(3, gone.signal), of(4)];
  gone.abort(new StillhouseError('CANCELLED', 'the student is gone'));
  await t.throwsAsync(running[2] as Promise<unknown>, { message: 'the shard ends early' });
  for (const one of waiting.slice(0, 2)) await t.throwsAsync(one, { message: 'the student is gone' });
  for (let turn = 0; turn < 5; turn++) await settle();
  t.deepEqual(loaded, [0, 1, 39, 4]);
  for (const end of predictions) end();
  await Promise.all([running[0], running[1], waiting[2]]);
});

test('answers are kept by view, sample and partner, up to a number of bytes; what is kept stays', (t) => {
  const rowBytes = 64 + 4 * CLASSES;
  const cache = new AnswerCache({ classes: CLASSES, samples: 40, bytesMax: 5 * rowBytes });
  const batch = (view: number, ids: number[], partners: number[] | null = null) => ({ view, ids, partners });
  cache.keep(batch(0, [7, 3]), Float32Array.of(1, 2, 3, 4));
  t.deepEqual(cache.get(batch(0, [3, 7, 3])), Float32Array.of(3, 4, 1, 2, 3, 4));
  t.is(cache.get(batch(1, [3])), null);
  t.is(cache.get(batch(0, [3, 4])), null);
  // The first answer counts: what has been sent is sent again.
  cache.keep(batch(0, [3]), Float32Array.of(9, 9));
  t.deepEqual(cache.get(batch(0, [3])), Float32Array.of(3, 4));
  cache.keep(batch(1, [3, 3], [5, 6]), Float32Array.of(10, 11, 12, 13));
  t.deepEqual(cache.get(batch(1, [3, 3], [6, 5])), Float32Array.of(12, 13, 10, 11));
  t.is(cache.get(batch(1, [5], [3])), null);
  cache.keep(batch(2, [8, 9]), Float32Array.of(20, 21, 22, 23));
  t.deepEqual(cache.get(batch(2, [8])), Float32Array.of(20, 21));
  t.is(cache.get(batch(2, [9])), null, 'there was room for five');
  t.deepEqual(cache.get(batch(0, [7])), Float32Array.of(1, 2));
});
