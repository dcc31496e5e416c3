/** A teacher as a job uses it: its stored model, and what it sees of an image. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { loadModel } from '../../lib/checkpoint/models.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import type { ViewsSpec } from '../../lib/data/views.ts';
import type { DecodedArtefact, ModelManifest } from '../../lib/model/artefact.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { teacherViews } from '../../lib/wire/teacher-views.ts';

/** @throws what `loadModel` throws; FAILED_PRECONDITION when the teacher is one for other data */
export async function loadTeacher(objects: ObjectStore, digest: string, dataset: Dataset): Promise<DecodedArtefact> {
  const artefact = await loadModel(objects, digest);
  requireSameData(digest, artefact.manifest, dataset);
  return artefact;
}

/** Its own views, or else those of the students. @throws INVALID_ARGUMENT when the job has no such teacher */
export function viewsOf(job: JobSpec, name: string): ViewsSpec {
  const teacher = job.teachers.find((candidate) => candidate.name === name);
  if (teacher !== undefined) return teacherViews(job, teacher);
  throw new StillhouseError('INVALID_ARGUMENT', `the job has no teacher called ${name}`, { field: 'teacher' });
}

/** An imported teacher has seen other data; that it knows the job's classes is all that can be asked of it. */
function requireSameData(digest: string, { lineage, parentClassNames }: ModelManifest, dataset: Dataset): void {
  if (lineage.arm !== 'imported' && lineage.dataset !== dataset.digest) {
    throw new StillhouseError('FAILED_PRECONDITION', `teacher ${digest} was not trained on the job's data set`);
  }
  if (parentClassNames.join() !== dataset.classNames.join()) {
    throw new StillhouseError('FAILED_PRECONDITION', `teacher ${digest} has other classes than the job's data set`);
  }
}
