/** A stored model, loaded for inference in the compute thread. */
import type { ImageShape } from '../data/manifest.ts';
import type { ModelManifest } from '../model/artefact.ts';
import { networkOf } from '../model/manifest-network.ts';
import { importTensors } from '../model/parameters.ts';
import type { Predictor } from '../model/predictor.ts';
import type { NamedTensors } from '../model/safetensors.ts';
import type { Compute, Program } from './compute.ts';

/** Batch sizes that are compiled: a single image, a few, many. */
const BATCH_SIZES = [1, 8, 32, 64];

/**
 * @param images as they will be given; others than the model's own are scaled for its network
 * @throws NOT_FOUND for an unknown architecture; INVALID_ARGUMENT naming a tensor that does not fit it
 */
export async function openModel(
  compute: Compute,
  manifest: ModelManifest,
  tensors: NamedTensors,
  predictBatchSizes: readonly number[] = BATCH_SIZES,
  images: ImageShape = manifest.input,
): Promise<Program> {
  const model = networkOf(manifest);
  const { parameters, statistics } = importTensors(model, tensors);
  const { mean, std } = manifest.preprocessing;
  const spec = { model, images, preprocessing: { mean, std }, training: null, predictBatchSizes };
  const program = await compute.open(spec);
  await program.write('parameters', parameters);
  await program.write('statistics', statistics);
  return program;
}

export async function createPredictor(
  manifest: ModelManifest,
  tensors: NamedTensors,
  { compute }: { readonly compute: Compute },
): Promise<Predictor> {
  const program = await openModel(compute, manifest, tensors);
  // Graphs are built when they are first needed: no first request shall wait for the one of a single image.
  const { height, width, channels } = manifest.input;
  await program.predict(new Float32Array(height * width * channels), 1);
  return {
    predict: (images, count) => program.predict(images, count),
    close: () => program.close(),
  };
}
