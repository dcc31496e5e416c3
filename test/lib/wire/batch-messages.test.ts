/** How many samples a micro-batch may have for its messages: asked when a job is submitted, and when a stream is opened. */
import test, { type ExecutionContext } from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import type { Dataset } from '../../../lib/data/dataset.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { NO_VIEWS, VIEW_PROTOCOL } from '../../../lib/data/views.ts';
import { largestBatch, requireRepliesFit } from '../../../lib/wire/batch-messages.ts';
import type { LogitsEncoding } from '../../../lib/wire/generated/stillhouse/v1/LogitsEncoding.ts';
import type { Open__Output } from '../../../lib/wire/generated/stillhouse/v1/Open.ts';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import { checkSamples } from '../../../lib/wire/job-samples.ts';
import { checkOpen } from '../../../services/teacher-worker/open-checks.ts';
import { ServingCounters } from '../../../services/teacher-worker/serving-counters.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

/** As many as the largest public set of images in common use has, whose names are the only thing of it that matters here. */
const CLASS_NAMES = Array.from({ length: 21_841 }, (_, id) => `class ${id}`);

const job = (microBatch: number, distill = '{logits: fp16}', students = '[{name: all, arch: simple-cnn}]') =>
  parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: many, data: {dataset: trees},
    teachers: [{name: big, arch: resnet-8}], students: ${students}, distill: ${distill},
    train: {lanes: 2, microBatch: ${microBatch}}, evaluate: {routeImages: 0}}`);

async function trees(t: ExecutionContext): Promise<Dataset> {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'trees', {
    files: [
      ['train', 60],
      ['test', 30],
    ],
  });
  const dataset = await openDataset(root, 'trees');
  t.teardown(() => dataset.close());
  return dataset;
}

/** The same images with more names of classes. */
function withManyClasses(dataset: Dataset): Dataset {
  return new Proxy(dataset, {
    get: (target, key) => (key === 'classNames' ? CLASS_NAMES : Reflect.get(target, key, target)),
  });
}

function refusalOf(work: () => unknown): StillhouseError {
  try {
    work();
  } catch (thrown) {
    return StillhouseError.from(thrown);
  }
  throw new Error('it was not refused');
}

test('logits that fit into no message are found when the job is submitted', async (t) => {
  const dataset = withManyClasses(await trees(t));
  const error = await t.throwsAsync(checkSamples(job(4_096), dataset), { instanceOf: StillhouseError });
  t.like(error, { code: 'INVALID_ARGUMENT', field: 'train.microBatch' });
  t.regex(
    error?.message ?? '',
    /^train\.microBatch: expected at most 1535, because the logits of a sample for student all take 43682 bytes and a message is at most 67108864 bytes, got 4096$/,
  );
  t.regex(error?.hint ?? '', /a smaller encoding as distill\.logits/);
});

test('what counts is what each student is sent', (t) => {
  const check = (spec: ReturnType<typeof job>) => requireRepliesFit(spec, CLASS_NAMES);
  t.notThrows(() => check(job(1_535)));
  t.is(refusalOf(() => check(job(1_536))).code, 'INVALID_ARGUMENT');
  t.notThrows(() => check(job(4_096, '{logits: {topK: 16}}')));
  t.notThrows(() => check(job(4_096, '{logits: int4}')));
  t.notThrows(() => check(job(4_096, '{loss: [{type: cross-entropy, weight: 1}]}')), 'nobody teaches');
  const few = '{name: few, arch: simple-cnn, classes: [class 1, class 7]}';
  t.notThrows(() => check(job(4_096, '{logits: fp32}', `[${few}]`)));
  const { message } = refusalOf(() => check(job(4_096, '{logits: fp32}', `[${few}, {name: all, arch: simple-cnn}]`)));
  t.regex(message, /for student all take 87364 bytes/);
});

test('a stream takes exactly what a job may ask for', async (t) => {
  const dataset = await trees(t);
  const open = (encoding: LogitsEncoding, bytes: number, excess: number) => {
    const format = { encoding, topK: 0, temperatures: [] };
    const names = { jobId: 'many-1', studentWorkerId: 's', teacher: 'big', modelDigest: 'm' };
    const asked: Open__Output = {
      ...names,
      datasetDigest: dataset.digest,
      classNames: CLASS_NAMES,
      viewProtocol: VIEW_PROTOCOL,
      format: format as Open__Output['format'],
      dustbinTemperature: 0,
      pixels: null,
    };
    return checkOpen(asked, {
      jobId: 'many-1',
      name: 'big',
      modelDigest: 'm',
      classNames: CLASS_NAMES,
      dataset,
      seed: 5,
      views: NO_VIEWS,
      microBatch: largestBatch(bytes) + excess,
      merging: null,
      cache: null,
      counters: new ServingCounters('many-1', 'big', 'm'),
      predict: async (_, count) => new Float32Array(count * CLASS_NAMES.length),
    });
  };
  const rows = [
    ['LOGITS_ENCODING_FP32', 4 * CLASS_NAMES.length],
    ['LOGITS_ENCODING_FP16', 2 * CLASS_NAMES.length],
  ] as const;
  for (const [encoding, bytes] of rows) {
    t.is(open(encoding, bytes, 0).columns, CLASS_NAMES.length);
    const error = refusalOf(() => open(encoding, bytes, 1));
    t.like(error, { code: 'FAILED_PRECONDITION', field: 'format' });
    t.regex(error.message, /^a reply of one micro-batch takes \d+ bytes, a message holds 67108864$/);
  }
});
