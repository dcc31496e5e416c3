/** The teacher whose answers are stored, opened again on this machine. */
import path from 'node:path';
import { StillhouseError } from '../../lib/base/errors.ts';
import { cacheRoot } from '../../lib/base/folders.ts';
import type { CacheRecipe } from '../../lib/checkpoint/logits-cache/recipe.ts';
import { storeModel } from '../../lib/checkpoint/models.ts';
import { createMemoryStore, type ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import type { Compute } from '../../lib/distill/compute.ts';
import { answersDigest } from '../../lib/model/answers-digest.ts';
import { encodeArtefact, readArtefactFolder } from '../../lib/model/artefact.ts';
import type { FileSource, JobSpec } from '../../lib/wire/job-spec.ts';
import { storeModelFiles } from '../../lib/wire/teachers/model-files.ts';
import { openTeacher, type TeacherModel } from '../../lib/wire/teachers/open-teacher.ts';
import { listSourceFiles } from '../../lib/wire/teachers/source-files.ts';
import { findLocalCluster } from '../cluster/state-file.ts';
import { withObjects } from '../cluster-objects.ts';
import type { CliContext } from '../context.ts';

export interface ModelPlace {
  /** The model on this machine's disk; absent: from the endpoint, or the cluster's object store. */
  readonly model?: string | undefined;
  /** Of a cluster that has the model; absent: the running local one's. */
  readonly nats?: string | undefined;
}

/** A teacher, and where it is. */
export interface FoundTeacher {
  readonly objects: ObjectStore;
  /** The one that has stored the first answers, with the model that was found. */
  readonly job: JobSpec;
  readonly modelDigest: string;
}

/**
 * Runs `body` with the teacher that has stored the first answers, or one that answers the same.
 * @param job which has stored the first answers
 * @throws FAILED_PRECONDITION when it is another one than that whose answers are stored, or nothing says where it is; NOT_FOUND
 *   when it is not there
 */
export async function withTeacherObjects<T>(
  recipe: CacheRecipe,
  job: JobSpec,
  { model, nats }: ModelPlace,
  context: CliContext,
  body: (found: FoundTeacher) => Promise<T>,
): Promise<T> {
  const { teacher: name, modelDigest } = recipe.origin;
  const source = job.teachers.find((teacher) => teacher.name === name)?.from ?? null;
  if (source?.type === 'endpoint') return await body({ objects: createMemoryStore(), job, modelDigest });
  if (model !== undefined) {
    const isArtefact = source === null || source.type === 'weights';
    return await body(await (isArtefact ? artefactIn(model, recipe, job) : filesIn(model, source, recipe, job)));
  }
  const address = nats || findLocalCluster(context.environment)?.nats;
  if (address !== undefined) {
    return await withObjects(address, context.signal, (objects) => body({ objects, job, modelDigest }));
  }
  const where =
    source === null || source.type === 'weights' ? ' runs/<job>/models/<teacher>' : ' with its file or folder';
  throw new StillhouseError('FAILED_PRECONDITION', `nothing says where the model of teacher ${name} is`, {
    field: '--model',
    hint: `give --model${where}, or --nats nats://host:port of the cluster that has it`,
  });
}

export interface LiveTeacherRequest extends FoundTeacher {
  readonly recipe: CacheRecipe;
  readonly dataset: Dataset;
  readonly compute: Compute;
}

/** Runs `body` with the teacher, which is closed afterwards. @throws what `openTeacher` throws */
export async function withLiveTeacher<T>(
  { recipe, job, modelDigest, dataset, compute, objects }: LiveTeacherRequest,
  { environment, signal }: CliContext,
  body: (teacher: TeacherModel) => Promise<T>,
): Promise<T> {
  const batchSizes = recipe.shape === null ? [] : [recipe.shape];
  const { teacher: name } = recipe.origin;
  const cache = cacheRoot(environment);
  const given = { job, teacher: name, modelDigest, objects, compute, dataset, batchSizes, cache, signal };
  const teacher = await openTeacher(given);
  try {
    return await body(teacher);
  } finally {
    await teacher.close();
  }
}

/** @throws FAILED_PRECONDITION when they are other files than those that have answered */
async function filesIn(
  location: string,
  source: FileSource,
  { origin }: CacheRecipe,
  job: JobSpec,
): Promise<FoundTeacher> {
  const objects = createMemoryStore();
  const { type, path: expected } = source;
  const digest = await storeModelFiles(objects, await listSourceFiles({ type, path: path.resolve(location) }));
  if (digest === expected) return { objects, job, modelDigest: origin.modelDigest };
  throw another(location, digest, expected);
}

/**
 * In a folder that `stillhouse` has written.
 * @throws FAILED_PRECONDITION when it answers otherwise than the model that has answered
 */
async function artefactIn(folder: string, { teacherDigest, origin }: CacheRecipe, job: JobSpec): Promise<FoundTeacher> {
  const { manifest, tensors } = await readArtefactFolder(path.resolve(folder)).catch((thrown) => {
    const { code, message } = StillhouseError.from(thrown);
    throw new StillhouseError(code, message, { field: '--model', cause: thrown });
  });
  const digest = answersDigest(manifest);
  if (digest !== teacherDigest) throw another(folder, digest, teacherDigest);
  const objects = createMemoryStore();
  const modelDigest = await storeModel(objects, encodeArtefact(manifest, tensors));
  return { objects, job: withWeights(job, origin.teacher, modelDigest), modelDigest };
}

/** Where the job names the teacher's weights, these instead. */
function withWeights(job: JobSpec, name: string, weights: string): JobSpec {
  const teachers = job.teachers.map((teacher) =>
    teacher.name === name && teacher.from?.type === 'weights'
      ? { ...teacher, from: { ...teacher.from, weights } }
      : teacher,
  );
  return { ...job, teachers };
}

function another(model: string, digest: string, expected: string): StillhouseError {
  const message = `the model in ${model} is ${digest}, and the answers are of ${expected}`;
  return new StillhouseError('FAILED_PRECONDITION', message, { field: '--model' });
}
