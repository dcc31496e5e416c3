/** A model in training in this process: opened at its seeded start, trained, evaluated, stored. */

import { sleep } from '../base/clock.ts';
import { bytesOf, sha256 } from '../base/digest.ts';
import type { Logger } from '../base/log.ts';
import { retryUnavailable } from '../base/retry.ts';
import { storeDropped } from '../checkpoint/dropped.ts';
import { loadModel, storeModel } from '../checkpoint/models.ts';
import type { ObjectStore } from '../checkpoint/store.ts';
import type { Dataset } from '../data/dataset.ts';
import { areOff } from '../data/views.ts';
import type { Compute } from '../distill/compute.ts';
import { evaluate } from '../distill/evaluate.ts';
import { FrozenBackbone } from '../distill/frozen-backbone.ts';
import type { ImageSource, TrainableModel } from '../distill/trainable-model.ts';
import { augmentedImages, droppedOfEpoch, epochCount } from '../distill/training-plan.ts';
import { type DecodedArtefact, type EncodedArtefact, encodeArtefact } from '../model/artefact.ts';
import { hasFixedFeatures } from '../model/freeze.ts';
import { exportTensors } from '../model/parameters.ts';
import { type ModelPlan, manifestOf } from './job-plan.ts';
import type { JobSpec, NetworkSpec } from './job-spec.ts';

/** Hours of training shall not be lost by a restart of the broker. Storing is idempotent: content names the objects. */
export const STORE_PATIENCE = { patienceMs: 120_000, retryMs: 1_000 };

/** A model at its start, and what its steps are fed. */
export interface Training {
  readonly program: TrainableModel;
  readonly images: ImageSource;
}

/**
 * The model that a teacher or student starts from.
 * @throws what `loadModel` throws
 */
export async function loadInit(
  objects: ObjectStore,
  network: NetworkSpec | undefined,
): Promise<DecodedArtefact | null> {
  return network?.init === undefined ? null : loadModel(objects, network.init);
}

/**
 * Compiles the plan's step and writes the state that every worker starts from.
 * @throws INVALID_ARGUMENT naming the tensor when the model to start from does not fit; what `Compute.open` throws
 */
export async function openTraining(compute: Compute, plan: ModelPlan, dataset: Dataset): Promise<Training> {
  const training = await compile(compute, plan, dataset);
  const { program } = training;
  try {
    await program.write('parameters', plan.start.parameters);
    await program.write('statistics', plan.start.statistics);
    for (const slot of program.slots) await program.write(slot, new Float32Array(program.slotSize));
    return training;
  } catch (error) {
    await program.close();
    throw error;
  }
}

async function compile(compute: Compute, { program: spec, training }: ModelPlan, dataset: Dataset): Promise<Training> {
  if (spec.training?.fineTune === 'head' && areOff(training.views) && hasFixedFeatures(spec.model)) {
    const program = await FrozenBackbone.open(compute, spec);
    return { program, images: program.features(dataset) };
  }
  return { program: await compute.open(spec), images: augmentedImages(dataset, training) };
}

/** What users should know of how the program computes; empty if nothing. */
export function noticeOf({ mode }: TrainableModel): string {
  return mode?.kind === 'eager' ? `its steps run eagerly and in float32, which is slow, because ${mode.reason}` : '';
}

/** Of weights and moving statistics: equal on all workers that trained together. */
export async function weightsDigest(program: TrainableModel): Promise<string> {
  return sha256(bytesOf(await program.read('parameters')), bytesOf(await program.read('statistics')));
}

/** What a training task answers of its model, in the names of TaskDone. */
export interface StoredModel {
  readonly modelDigest: string;
  readonly manifestJson: string;
  readonly correct: number;
  readonly evaluatedImages: number;
  readonly predictImagesPerSecond: number;
  /** Empty where the tails of epochs are not dropped. */
  readonly droppedDigest: string;
}

export interface StoreRequest {
  readonly program: TrainableModel;
  readonly plan: ModelPlan;
  readonly dataset: Dataset;
  readonly job: JobSpec;
  readonly jobId: string;
  /** Digest of the teacher's artefact, or null. */
  readonly teacher: string | null;
  readonly objects: ObjectStore;
  readonly signal: AbortSignal;
}

/**
 * Evaluates the trained model on the test split and writes its artefact to the object store, beside it what its epochs have dropped.
 */
export async function evaluateAndStore(request: StoreRequest): Promise<StoredModel> {
  const { program, plan, dataset, signal } = request;
  const classes = plan.classes.classIds.length;
  const { testIds, labelOf } = plan;
  const found = await evaluate(program, dataset, testIds, classes, labelOf, signal);
  const { correct, evaluated, imagesPerSecond } = found;
  const testAccuracy = evaluated === 0 ? 0 : correct / evaluated;
  const artefact = await artefactOf(request, { testAccuracy });
  const modelDigest = await retryUnavailable(() => storeModel(request.objects, artefact), {
    ...STORE_PATIENCE,
    signal,
  });
  const manifestJson = new TextDecoder().decode(artefact.manifestBytes);
  const droppedDigest = plan.training.tail === 'drop' ? await storeDroppedSamples(request) : '';
  const counts = { correct, evaluatedImages: evaluated, predictImagesPerSecond: imagesPerSecond };
  return { modelDigest, manifestJson, ...counts, droppedDigest };
}

/** The plan alone says which they are: nothing has to be kept while the model is trained. */
async function storeDroppedSamples({ plan: { training }, dataset, objects, signal }: StoreRequest): Promise<string> {
  const epochs: Uint32Array[] = [];
  for (let epoch = 0; epoch < epochCount(training); epoch++) {
    epochs.push(droppedOfEpoch(training, epoch));
    // Orders of many epochs take a while, and the worker has to be heard meanwhile.
    await sleep(0, signal);
  }
  const dropped = { datasetDigest: dataset.digest, epochs };
  return await retryUnavailable(() => storeDropped(objects, dropped), { ...STORE_PATIENCE, signal });
}

/**
 * What is done between two epochs: now and then the model as it stands is stored.
 * One that cannot be stored is told to the log, and the training goes on without it.
 * @param everyEpochs 0: never, and nothing is done between epochs
 * @param onStored told the checkpoint's digest and the number of the epoch that has ended, from 1
 */
export function checkpoints(
  request: StoreRequest & { readonly logger: Logger },
  everyEpochs: number,
  onStored: (digest: string, epoch: number) => void,
): { readonly onEpoch?: (epoch: number) => Promise<void> } {
  if (everyEpochs === 0) return {};
  return {
    onEpoch: async (epoch) => {
      if (epoch % everyEpochs !== 0) return;
      const artefact = await artefactOf(request, { epoch });
      await storeModel(request.objects, artefact).then(
        (digest) => onStored(digest, epoch),
        (err) => request.logger.warn({ err, epoch }, 'no checkpoint could be stored; the training goes on'),
      );
    },
  };
}

async function artefactOf(
  { program, plan, dataset, job, jobId, teacher }: StoreRequest,
  metrics: Readonly<Record<string, number>>,
): Promise<EncodedArtefact> {
  const tensors = exportTensors(plan.program.model, await program.read('parameters'), await program.read('statistics'));
  return encodeArtefact(manifestOf(jobId, job, dataset, plan, { teacher, metrics }), tensors);
}
