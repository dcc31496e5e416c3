/** The models of a job as folders: what outlives the cluster that trained them. */
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { uniqueId } from '../lib/base/random.ts';
import type { ObjectStore } from '../lib/checkpoint/store.ts';
import { writeArtefactFolder } from '../lib/model/artefact.ts';
import type { JobSpec } from '../lib/wire/job-spec.ts';
import type { Job } from './coordinator-client.ts';
import { fetchModel } from './fetch-model.ts';

/** The control arm's models are there to be compared with, and nobody serves them. */
const KEPT: readonly Job['phases'][number]['kind'][] = ['PHASE_KIND_TRAIN_TEACHER', 'PHASE_KIND_DISTIL'];

/** Teachers that the job brings along as models of the zoo; others stay in their own formats. */
function isStored({ kind, subject }: Job['phases'][number], spec: JobSpec): boolean {
  if (kind !== 'PHASE_KIND_EVALUATE_TEACHER') return KEPT.includes(kind);
  return spec.teachers.some(({ name, from }) => name === subject && from?.type === 'weights');
}

/**
 * Writes the job's teacher and students to `<folder>/<name>`, in place of what an earlier run has left there. That stays
 * as it is until all of them are at hand.
 * @returns the sizes of their weights, in bytes, by the models' digests
 */
export async function saveModels(
  objects: ObjectStore,
  { phases }: Job,
  spec: JobSpec,
  folder: string,
): Promise<Map<string, number>> {
  const draft = `${folder}.${uniqueId('draft')}`;
  const sizes = new Map<string, number>();
  try {
    await mkdir(draft, { recursive: true });
    for (const phase of phases) {
      const { subject, modelDigest } = phase;
      if (modelDigest === '' || !isStored(phase, spec)) continue;
      const artefact = await fetchModel(objects, modelDigest);
      await writeArtefactFolder(join(draft, subject), artefact);
      sizes.set(modelDigest, artefact.weightsBytes.length);
    }
    await rm(folder, { recursive: true, force: true });
    await rename(draft, folder);
    return sizes;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}
