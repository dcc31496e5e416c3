/** The models of a job as folders: what outlives the cluster that trained them. */
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { invariant } from '../lib/base/errors.ts';
import { createLogger } from '../lib/base/log.ts';
import { uniqueId } from '../lib/base/random.ts';
import { loadModel } from '../lib/checkpoint/models.ts';
import type { ObjectStore } from '../lib/checkpoint/store.ts';
import { encodeArtefact, writeArtefactFolder } from '../lib/model/artefact.ts';
import { connectNats } from '../lib/wire/nats.ts';
import type { Job } from './coordinator-client.ts';

/** The control arm's models are there to be compared with, and nobody serves them. */
const KEPT: readonly Job['phases'][number]['kind'][] = ['PHASE_KIND_TRAIN_TEACHER', 'PHASE_KIND_DISTIL'];

/**
 * Writes the job's teacher and students to `<folder>/<name>`, in place of what an earlier run has left there. That stays
 * as it is until all of them are at hand.
 * @param nats the address of the server that has the models
 */
export async function saveModels(nats: string, job: Job, folder: string, signal: AbortSignal): Promise<void> {
  const logger = createLogger('run', 'silent');
  const connection = await connectNats({ servers: nats, name: 'run', logger, signal });
  try {
    await writeModels(await connection.objects(), job, folder);
  } finally {
    await connection.close();
  }
}

async function writeModels(objects: ObjectStore, { phases }: Job, folder: string): Promise<void> {
  const draft = `${folder}.${uniqueId('draft')}`;
  try {
    await mkdir(draft, { recursive: true });
    for (const { kind, subject, modelDigest } of phases) {
      if (!KEPT.includes(kind) || modelDigest === '') continue;
      const { manifest, tensors } = await loadModel(objects, modelDigest);
      const { weights: _, ...described } = manifest;
      const artefact = encodeArtefact(described, tensors);
      invariant(artefact.digest === modelDigest, 'a model that is written again is the same');
      await writeArtefactFolder(join(draft, subject), artefact);
    }
    await rm(folder, { recursive: true, force: true });
    await rename(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}
