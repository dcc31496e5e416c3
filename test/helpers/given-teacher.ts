/** Jobs with a teacher that is there already, opened as a teacher-worker opens it. */
import type { ExecutionContext } from 'ava';
import { createMemoryStore, type ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { openDataset } from '../../lib/data/open-dataset.ts';
import type { Compute } from '../../lib/distill/compute.ts';
import { parseJobFile } from '../../lib/wire/job-file.ts';
import type { JobSpec, TeacherSource } from '../../lib/wire/job-spec.ts';
import { storeModelFiles } from '../../lib/wire/teachers/model-files.ts';
import { openTeacher, type TeacherModel } from '../../lib/wire/teachers/open-teacher.ts';
import { listSourceFiles } from '../../lib/wire/teachers/source-files.ts';
import { writeSmallDataset } from './small-dataset.ts';
import { tempFolder } from './temp-folder.ts';

export interface TeacherPlace {
  readonly compute: Compute;
  readonly objects: ObjectStore;
  readonly dataset: Dataset;
  readonly cache: string;
}

/** The small data set, and a cache and a store that live as long as the test. */
export async function teacherPlace(t: ExecutionContext, compute: Compute): Promise<TeacherPlace> {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'trees');
  const dataset = await openDataset(root, 'trees');
  t.teardown(() => dataset.close());
  return { compute, objects: createMemoryStore(), dataset, cache: await tempFolder(t) };
}

/** @param from as a job file has it, in YAML's flow style */
export function jobOf(from: string): JobSpec {
  return parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: demo, data: {dataset: trees},
    teachers: [{name: big, from: ${from}}], students: [{name: few, arch: simple-cnn}]}`);
}

/** The job with its files stored, as the coordinator hands it out. */
export async function storedJob(objects: ObjectStore, job: JobSpec): Promise<JobSpec> {
  const source = job.teachers[0]?.from as TeacherSource;
  if (source.type === 'weights' || source.type === 'endpoint') return job;
  const path = await storeModelFiles(objects, await listSourceFiles(source));
  return { ...job, teachers: [{ name: 'big', from: { ...source, path } }] };
}

export interface OpenOptions {
  readonly batchSizes?: readonly number[];
  readonly modelDigest?: string;
  readonly signal?: AbortSignal;
}

/** Closed when the test ends. */
export async function openGiven(
  t: ExecutionContext,
  place: TeacherPlace,
  from: string,
  { batchSizes = [], modelDigest = '', signal = new AbortController().signal }: OpenOptions = {},
): Promise<TeacherModel> {
  const job = await storedJob(place.objects, jobOf(from));
  const teacher = await openTeacher({ ...place, job, teacher: 'big', modelDigest, batchSizes, signal });
  t.teardown(() => teacher.close());
  return teacher;
}
