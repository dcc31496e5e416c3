/** A model in training in this process: opened at its seeded start, trained, evaluated, stored. */
import { bytesOf, sha256 } from '../base/digest.ts';
import { retryUnavailable } from '../base/retry.ts';
import { loadModel, storeModel } from '../checkpoint/models.ts';
import type { ObjectStore } from '../checkpoint/store.ts';
import type { Dataset } from '../data/dataset.ts';
import type { Compute, Program } from '../distill/compute.ts';
import { evaluate } from '../distill/evaluate.ts';
import { encodeArtefact } from '../model/artefact.ts';
import { exportTensors, importTensors, initialParameters, initialStatistics } from '../model/parameters.ts';
import { type ModelPlan, manifestOf } from './job-plan.ts';
import type { JobSpec } from './job-spec.ts';

/** Hours of training shall not be lost by a restart of the broker. Storing is idempotent: content names the objects. */
const STORE_PATIENCE = { patienceMs: 120_000, retryMs: 1_000 };

/**
 * Compiles the plan's step and writes the state that every worker starts from.
 * @throws what `loadModel` and `importTensors` throw when the plan starts from a stored model
 */
export async function openTraining(compute: Compute, plan: ModelPlan, objects: ObjectStore): Promise<Program> {
  const { model } = plan.program;
  const start = await startingPoint(plan, objects);
  const program = await compute.open(plan.program);
  await program.write('parameters', start.parameters);
  await program.write('statistics', start.statistics);
  for (const slot of program.slots) await program.write(slot, new Float32Array(model.parameterCount));
  return program;
}

async function startingPoint(plan: ModelPlan, objects: ObjectStore) {
  const { model } = plan.program;
  if (plan.init !== null) return importTensors(model, (await loadModel(objects, plan.init)).tensors);
  return { parameters: initialParameters(model, plan.initialSeed), statistics: initialStatistics(model) };
}

/** Of weights and moving statistics: equal on all workers that trained together. */
export async function weightsDigest(program: Program): Promise<string> {
  return sha256(bytesOf(await program.read('parameters')), bytesOf(await program.read('statistics')));
}

/** What a training task answers of its model, in the names of TaskDone. */
export interface StoredModel {
  readonly modelDigest: string;
  readonly manifestJson: string;
  readonly correct: number;
  readonly evaluatedImages: number;
}

export interface StoreRequest {
  readonly program: Program;
  readonly plan: ModelPlan;
  readonly dataset: Dataset;
  readonly job: JobSpec;
  readonly jobId: string;
  /** Digest of the teacher's artefact, or null. */
  readonly teacher: string | null;
  readonly objects: ObjectStore;
  readonly signal: AbortSignal;
}

/** Evaluates the trained model on the test split and writes its artefact to the object store. */
export async function evaluateAndStore(request: StoreRequest): Promise<StoredModel> {
  const { program, plan, dataset, job, jobId, teacher, objects, signal } = request;
  const { correct, evaluated } = await evaluate(program, dataset, plan.testIds, plan.labelOf, signal);
  const testAccuracy = evaluated === 0 ? 0 : correct / evaluated;
  const tensors = exportTensors(plan.program.model, await program.read('parameters'), await program.read('statistics'));
  const artefact = encodeArtefact(manifestOf(jobId, job, dataset, plan, { teacher, testAccuracy }), tensors);
  const modelDigest = await retryUnavailable(() => storeModel(objects, artefact), { ...STORE_PATIENCE, signal });
  const manifestJson = new TextDecoder().decode(artefact.manifestBytes);
  return { modelDigest, manifestJson, correct, evaluatedImages: evaluated };
}
