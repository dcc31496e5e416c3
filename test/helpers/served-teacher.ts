/** Teachers of random weights behind the real service: a data set on disk, models in the compute thread, gRPC. */
import type { ExecutionContext } from 'ava';
import { sha256 } from '../../lib/base/digest.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { storeModel } from '../../lib/checkpoint/models.ts';
import { createMemoryStore, type ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { openDataset } from '../../lib/data/open-dataset.ts';
import { VIEW_PROTOCOL } from '../../lib/data/views.ts';
import type { Compute } from '../../lib/distill/compute.ts';
import { openModel } from '../../lib/distill/predictor.ts';
import { encodeArtefact } from '../../lib/model/artefact.ts';
import { architectureNamed } from '../../lib/model/zoo.ts';
import type { Open } from '../../lib/wire/generated/stillhouse/v1/Open.ts';
import { RpcServer } from '../../lib/wire/grpc.ts';
import { parseJobFile } from '../../lib/wire/job-file.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import type { TaskContext, TaskProgressFields, TaskReadyFields } from '../../lib/wire/task-runner.ts';
import { LogitsService, type LogitsServiceOptions } from '../../services/teacher-worker/logits-service.ts';
import { type ServeTeachersRequest, serveTeachers } from '../../services/teacher-worker/serve-task.ts';
import { silent } from './logger.ts';
import { LogitsClient } from './logits-client.ts';
import { artefactOf, randomModel } from './random-model.ts';
import { writeSmallDataset } from './small-dataset.ts';
import { tempFolder } from './temp-folder.ts';

export const MICRO_BATCH = 16;

/** Of the data set called trees: ids 0 to 43. */
export const FILES = [
  ['train', 40],
  ['test', 4],
] as const;

export interface JobOptions {
  /** Lines of the job file, after those that all have. */
  readonly job?: string;
  /** Of the job's data. */
  readonly views?: string;
  /** By name, with the factor of their heads' weights. */
  readonly teachers?: Readonly<Record<string, number>>;
}

export interface ServedOptions extends JobOptions {
  readonly compute: Compute;
  readonly service?: Partial<LogitsServiceOptions>;
  /** Of an earlier one: its data set, models and stored logits are served again. */
  readonly root?: string;
}

export function smallJob({ teachers = { big: 1 }, views = '{flip: true, shift: 2}', job = '' }: JobOptions): JobSpec {
  const named = Object.keys(teachers).map((name) => `{name: ${name}, arch: simple-cnn}`);
  return parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: trees, seed: 5,
    data: {dataset: trees, calibrate: 0, views: ${views}}, teachers: [${named.join(', ')}],
    students: [{name: few, arch: simple-cnn}], train: {microBatch: ${MICRO_BATCH}}, ${job}}`);
}

/** Models of random weights, stored as if the job had trained them. */
export async function storeTeachers(
  dataset: Dataset,
  teachers: Readonly<Record<string, number>>,
  objects: ObjectStore,
) {
  const { classNames, image, digest } = dataset;
  const lineage = {
    ...{ job: 'job-1', jobSpecDigest: sha256('job'), dataset: digest, teacher: null },
    arm: 'teacher',
  } as const;
  return Promise.all(
    Object.entries(teachers).map(async ([name, factor], index) => {
      const model = randomModel(architectureNamed('simple-cnn'), image, classNames.length, 7 + index);
      const { manifest } = artefactOf(model, classNames);
      const tensors = new Map(
        [...model.tensors].map(([tensor, { shape, values }]) => {
          const isHead = shape[0] === classNames.length;
          return [tensor, { shape, values: isHead ? values.map((value) => factor * value) : values }];
        }),
      );
      const classIds = [...classNames.keys()];
      const artefact = encodeArtefact({ ...manifest, classIds, parentClassNames: classNames, lineage }, tensors);
      return { teacher: name, modelDigest: await storeModel(objects, artefact), manifest, tensors };
    }),
  );
}

/** Runs the task of serving; it ends with `stop`. */
async function runTask(request: Omit<ServeTeachersRequest, 'logger'>) {
  const controller = new AbortController();
  const progress: TaskProgressFields[] = [];
  const ready: TaskReadyFields[] = [];
  let tellReady = () => {};
  const isReady = new Promise<void>((resolve) => {
    tellReady = resolve;
  });
  const task: TaskContext = {
    signal: controller.signal,
    leaderEpoch: 1,
    begun: Promise.resolve(),
    ready: (fields) => {
      ready.push(fields);
      tellReady();
    },
    progress: (fields) => progress.push(fields),
    note: () => undefined,
    onTeachers: () => undefined,
  };
  const done = serveTeachers({ ...request, logger: silent }, task);
  await Promise.race([isReady, done]);
  const cancel = async () => {
    controller.abort(new StillhouseError('CANCELLED', 'the phase is over'));
    await done;
  };
  return { progress, ready, cancel };
}

/** Serves until the end of the test. */
export async function serveRandomTeachers(t: ExecutionContext, options: ServedOptions) {
  const { compute, teachers = { big: 1 } } = options;
  const root = options.root ?? (await tempFolder(t));
  if (options.root === undefined) await writeSmallDataset(root, 'trees', { files: FILES });
  const dataset = await openDataset(root, 'trees');
  const job = smallJob(options);
  const objects = createMemoryStore();
  const models = await storeTeachers(dataset, teachers, objects);
  const logits = new LogitsService({ workerId: 'teacher-1', ...options.service });
  const server = new RpcServer(silent).add('Teacher', logits.implementation());
  const address = `127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
  const task = await runTask({
    ...{ jobId: 'job-1', job, command: { teachers: models }, workerId: 'teacher-1', dataset, compute, objects },
    ...{ logitsFolder: `${root}/logits`, cache: root, logits },
  });
  const stop = once(async () => {
    await task.cancel();
    await server.stop(0);
    await dataset.close();
  });
  t.teardown(stop);
  const connect = async (changes: Partial<Open> = {}) => {
    const client = new LogitsClient(address);
    t.teardown(() => client.close());
    const { teacher, modelDigest } = models[0] as (typeof models)[number];
    const opened = await client.open({
      ...{ jobId: 'job-1', studentWorkerId: 'student-1', teacher, modelDigest, datasetDigest: dataset.digest },
      classNames: [...dataset.classNames],
      viewProtocol: VIEW_PROTOCOL,
      format: { encoding: 'LOGITS_ENCODING_FP32' },
      ...changes,
    });
    return { client, opened };
  };
  /** Opens a stored model once more, to compare with. */
  const reference = (index = 0, batchSize = MICRO_BATCH) => {
    const { manifest, tensors } = models[index] as (typeof models)[number];
    return openModel(compute, manifest, tensors, [batchSize]);
  };
  return { ...task, root, dataset, models, logits, server, stop, connect, reference };
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= work();
    return running;
  };
}
