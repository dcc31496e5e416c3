/** A model in training in this process: opened at its seeded start, trained, evaluated, stored. */

import { sleep } from '../base/clock.ts';
import { bytesOf, sha256 } from '../base/digest.ts';
import { retryUnavailable } from '../base/retry.ts';
import { storeDropped } from '../checkpoint/dropped.ts';
import { loadModel, storeModel } from '../checkpoint/models.ts';
import type { ObjectStore } from '../checkpoint/store.ts';
import type { Dataset } from '../data/dataset.ts';
import { areOff } from '../data/views.ts';
import type { Compute } from '../distill/compute.ts';
import type { KeptWeights } from '../distill/epoch-watch.ts';
import { type Evaluated, evaluate, onImages } from '../distill/evaluate.ts';
import { FrozenBackbone } from '../distill/frozen-backbone.ts';
import type { ImageSource, TrainableModel } from '../distill/trainable-model.ts';
import { augmentedImages, droppedOfEpoch } from '../distill/training-plan.ts';
import { type DecodedArtefact, type EncodedArtefact, encodeArtefact } from '../model/artefact.ts';
import { hasFixedFeatures } from '../model/freeze.ts';
import { exportTensors } from '../model/parameters.ts';
import type { ModelPlan } from './job-plan.ts';
import type { JobSpec, NetworkSpec } from './job-spec.ts';
import { manifestOf } from './trained-manifest.ts';

/** Hours of training shall not be lost by a restart of the broker. Storing is idempotent: content names the objects. */
export const STORE_PATIENCE = { patienceMs: 120_000, retryMs: 1_000 };

/** A model at its start, and what its steps are fed. */
export interface Training {
  readonly program: TrainableModel;
  readonly images: ImageSource;
  /** For looks between epochs: what is the same in every epoch is computed once. */
  readonly evaluated: Evaluated;
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
    const images = program.features(dataset);
    return { program, images, evaluated: onFeatures(program, images) };
  }
  const program = await compute.open(spec);
  return { program, images: augmentedImages(dataset, training), evaluated: onImages(program, dataset) };
}

function onFeatures(program: FrozenBackbone, features: ImageSource): Evaluated {
  return {
    outputs: program.spec.model.classes,
    load: (ids) => features({ ids: Uint32Array.from(ids), partners: null, epoch: 0 }).images,
    predict: (values, count) => program.predictFeatures(values, count),
  };
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
  /** Digests of whom the model has learnt from; see `TaughtModel`. */
  readonly teachers: readonly string[];
  readonly objects: ObjectStore;
  readonly signal: AbortSignal;
}

/** How a training ended. */
export interface TrainingEnd {
  /** Epochs that were trained; the last one may have been cut short. */
  readonly epochs: number;
  /** The epoch's model that the program is now, where it is not simply the last one's. */
  readonly best: KeptWeights | null;
}

/**
 * Evaluates the trained model on the test split and writes its artefact to the object store, beside it what its epochs have dropped.
 */
export async function evaluateAndStore(request: StoreRequest, { epochs, best }: TrainingEnd): Promise<StoredModel> {
  const { program, plan, dataset, signal } = request;
  const questions = { ids: plan.testIds, classes: plan.classes.classIds.length, labelOf: plan.labelOf };
  const { correct, evaluated, imagesPerSecond } = await evaluate(onImages(program, dataset), questions, signal);
  const testAccuracy = evaluated === 0 ? 0 : correct / evaluated;
  const weights = { parameters: await program.read('parameters'), statistics: await program.read('statistics') };
  const artefact = artefactOf(request, weights, { testAccuracy, ...selectionMetrics(best) });
  const modelDigest = await retryUnavailable(() => storeModel(request.objects, artefact), {
    ...STORE_PATIENCE,
    signal,
  });
  const manifestJson = new TextDecoder().decode(artefact.manifestBytes);
  const droppedDigest = plan.training.tail === 'drop' ? await storeDroppedSamples(request, epochs) : '';
  const counts = { correct, evaluatedImages: evaluated, predictImagesPerSecond: imagesPerSecond };
  return { modelDigest, manifestJson, ...counts, droppedDigest };
}

/** The plan alone says which they are: nothing has to be kept while the model is trained. */
async function storeDroppedSamples(
  { plan: { training }, dataset, objects, signal }: StoreRequest,
  count: number,
): Promise<string> {
  const epochs: Uint32Array[] = [];
  for (let epoch = 0; epoch < count; epoch++) {
    epochs.push(droppedOfEpoch(training, epoch));
    // Orders of many epochs take a while, and the worker has to be heard meanwhile.
    await sleep(0, signal);
  }
  const dropped = { datasetDigest: dataset.digest, epochs };
  return await retryUnavailable(() => storeDropped(objects, dropped), { ...STORE_PATIENCE, signal });
}

/**
 * Stores the model of an epoch: the best one so far where that is what is kept, else the one that the program is now.
 * @returns its digest @throws what the store throws
 */
export async function storeCheckpoint(request: StoreRequest, epoch: number, best: KeptWeights | null): Promise<string> {
  const { program, objects } = request;
  const metrics = best === null ? { epoch } : selectionMetrics(best);
  const weights = best ?? {
    parameters: await program.read('parameters'),
    statistics: await program.read('statistics'),
  };
  return await storeModel(objects, artefactOf(request, weights, metrics));
}

/** What the choice of the model was made by. */
function selectionMetrics(best: KeptWeights | null): Readonly<Record<string, number>> {
  return best === null ? {} : { epoch: best.epoch, calibrateAccuracy: best.accuracy };
}

function artefactOf(
  { plan, dataset, job, jobId, teachers }: StoreRequest,
  { parameters, statistics }: Pick<KeptWeights, 'parameters' | 'statistics'>,
  metrics: Readonly<Record<string, number>>,
): EncodedArtefact {
  const tensors = exportTensors(plan.program.model, parameters, statistics);
  return encodeArtefact(manifestOf(jobId, job, dataset, plan, { teachers, metrics }), tensors);
}
