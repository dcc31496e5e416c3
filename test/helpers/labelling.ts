/** A teacher of random weights that labels the images of a small data set: real compute thread, data set, cache folder. */
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { sha256 } from '../../lib/base/digest.ts';
import { storeModel } from '../../lib/checkpoint/models.ts';
import { createMemoryStore, type ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { openDataset } from '../../lib/data/open-dataset.ts';
import { selectSplits } from '../../lib/data/splits.ts';
import type { Compute, Program } from '../../lib/distill/compute.ts';
import { openModel } from '../../lib/distill/predictor.ts';
import { type EncodedArtefact, encodeArtefact } from '../../lib/model/artefact.ts';
import { architectureNamed } from '../../lib/model/zoo.ts';
import { type AnsweringTeacher, answeringTeacher } from '../../lib/wire/answering-teacher.ts';
import { parseJobFile } from '../../lib/wire/job-file.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import type { TaskContext, TaskProgressFields, TaskReadyFields } from '../../lib/wire/task-runner.ts';
import { labelImages } from '../../services/teacher-worker/label-task.ts';
import { silent } from './logger.ts';
import { artefactOf, randomModel } from './random-model.ts';
import { writeSmallDataset } from './small-dataset.ts';
import { tempFolder } from './temp-folder.ts';

export const SEED = 20_261_121;
export const TRAIN = 71;
export const CALIBRATE = 9;
export const MICRO_BATCH = 16;

export interface JobChoice {
  /** Of the teacher and the students. */
  readonly views?: string;
  readonly cache?: string;
  readonly student?: string;
}

/** Of the data set called trees. */
export function labelJob({ views = '{}', cache = '{encoding: fp32}', student = '' }: JobChoice = {}): JobSpec {
  return parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: trees, seed: 5,
    data: {dataset: trees, calibrate: ${CALIBRATE}, views: ${views}},
    teachers: [{name: big, arch: simple-cnn}],
    students: [{name: few, arch: simple-cnn${student}}], distill: {cache: ${cache}}, train: {microBatch: ${MICRO_BATCH}}}`);
}

export interface LabelPlace {
  readonly compute: Compute;
  /** Of data sets. */
  readonly root: string;
  readonly dataset: Dataset;
  readonly objects: ObjectStore;
  readonly folder: string;
  readonly modelDigest: string;
  readonly artefact: EncodedArtefact;
  readonly classNames: readonly string[];
  /** The training images of the jobs here. */
  readonly ids: Uint32Array;
  /** Opens the stored teacher once more, to compare with. */
  readonly reference: () => Promise<Program>;
}

export interface UnusualTeacher {
  /** Factor of the head's weights. */
  readonly scale?: number;
  readonly classNames?: readonly string[];
  /** Of the data that the teacher was trained on. */
  readonly trainedOn?: string;
}

/** A data set, and a teacher of random weights that has been stored as if it had been trained on it. */
export async function labelPlace(
  t: ExecutionContext,
  compute: Compute,
  unusual: UnusualTeacher = {},
): Promise<LabelPlace> {
  const root = await tempFolder(t);
  const files = [
    ['train', TRAIN + CALIBRATE],
    ['test', 12],
  ] as const;
  await writeSmallDataset(root, 'trees', { files });
  const dataset = await openDataset(root, 'trees');
  t.teardown(() => dataset.close());
  const objects = createMemoryStore();
  const classNames = unusual.classNames ?? dataset.classNames;
  const model = randomModel(architectureNamed('simple-cnn'), dataset.image, classNames.length, SEED);
  const { scale = 1, trainedOn = dataset.digest } = unusual;
  const tensors = new Map(
    [...model.tensors].map(([name, { shape, values }]) => {
      const factor = shape[0] === classNames.length ? scale : 1;
      return [name, { shape, values: values.map((value) => factor * value) }];
    }),
  );
  const { manifest } = artefactOf(model, classNames);
  const jobSpecDigest = sha256('job');
  const lineage = { job: 'job-1', jobSpecDigest, dataset: trainedOn, teacher: null, arm: 'teacher' } as const;
  const classIds = classNames.map((name) => dataset.classNames.indexOf(name));
  const artefact = encodeArtefact({ ...manifest, classIds, parentClassNames: dataset.classNames, lineage }, tensors);
  return {
    compute,
    root,
    dataset,
    objects,
    artefact,
    folder: path.join(root, 'logits'),
    modelDigest: await storeModel(objects, artefact),
    classNames,
    ids: selectSplits(dataset, { seed: 5, calibrate: CALIBRATE }).train,
    reference: () => openModel(compute, artefact.manifest, tensors, [MICRO_BATCH]),
  };
}

/** The teacher as what is stored of it knows it. */
export function answering({ dataset, objects, modelDigest }: LabelPlace, job: JobSpec): Promise<AnsweringTeacher> {
  const { signal } = new AbortController();
  return answeringTeacher({ job, dataset, objects, signal }, { teacher: 'big', modelDigest });
}

export interface LabelAttempt {
  readonly answers?: boolean;
  readonly objects?: ObjectStore;
  readonly bytesMax?: number;
  readonly onProgress?: (fields: TaskProgressFields, controller: AbortController) => void;
}

export async function label(place: LabelPlace, job: JobSpec, attempt: LabelAttempt = {}) {
  const { compute, dataset, modelDigest, folder } = place;
  const { answers = true, objects = place.objects, bytesMax, onProgress } = attempt;
  const ready: TaskReadyFields[] = [];
  const progress: TaskProgressFields[] = [];
  const controller = new AbortController();
  const task: TaskContext = {
    signal: controller.signal,
    leaderEpoch: 1,
    begun: Promise.resolve(),
    ready: (fields) => ready.push(fields),
    progress: (fields) => {
      progress.push(fields);
      onProgress?.(fields, controller);
    },
    note: () => undefined,
    onTeachers: () => undefined,
  };
  const command = { teacher: 'big', modelDigest, answers };
  const places = { logitsFolder: folder, cache: folder, ...(bytesMax !== undefined && { logitsBytesMax: bytesMax }) };
  const request = { job, command, workerId: 'teacher-1', dataset, compute, objects, logger: silent, ...places };
  const { labelsDigest = '', last } = await labelImages(request, task);
  return { labelsDigest, last, ready, progress };
}
