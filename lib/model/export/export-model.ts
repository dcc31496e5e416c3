/** A model artefact in the formats of others. */
import type { DecodedArtefact } from '../artefact.ts';
import { networkOf } from '../manifest-network.ts';
import { importTensors, type ModelSpec } from '../parameters.ts';
import { encodeSafetensors } from '../safetensors.ts';
import type { Weights } from './fold-batch-norm.ts';
import { lowerNetwork } from './network.ts';
import { encodeFloatOnnx } from './onnx-float.ts';
import { type BatchSize, describeArtefact } from './signature.ts';
import { tensorflowGraph } from './tensorflow-nodes.ts';
import { encodeTfjs } from './tfjs.ts';

/** Formats that hold the weights as they are. */
export const FLOAT_FORMATS = ['safetensors', 'saved-model', 'tfjs', 'onnx'] as const;

export type FloatFormat = (typeof FLOAT_FORMATS)[number];

/** One file, or a folder's files by their paths in it. */
export type ExportedModel = Uint8Array | ReadonlyMap<string, Uint8Array>;

/**
 * Converts a model. All formats but `safetensors`, which holds weights only, compute a specialist's signature: `image`
 * [batch, height, width, 3], RGB 0..255, to `logits` [batch, outputs], the classes in order and then the dustbin, if any.
 *
 * @throws StillhouseError NOT_FOUND for an unknown architecture; INVALID_ARGUMENT naming a layer or tensor that does not fit
 */
export async function exportModel(
  artefact: DecodedArtefact,
  format: FloatFormat,
  batchSize: BatchSize,
): Promise<ExportedModel> {
  const { manifest, tensors } = artefact;
  const metadata = describeArtefact(artefact);
  const model = specOf(artefact);
  if (format === 'safetensors') return encodeSafetensors(tensors, metadata);
  const { preprocessing, input: images } = manifest;
  if (format === 'onnx') {
    return encodeFloatOnnx({ network: lowerNetwork(model, images), tensors }, { preprocessing, batchSize, metadata });
  }
  const graph = tensorflowGraph(model, tensors, { images, preprocessing, batchSize });
  if (format === 'tfjs') return encodeTfjs(graph, metadata);
  // Only this needs TensorFlow's library, which takes a second to load.
  const { encodeSavedModel } = await import('./saved-model.ts');
  return new Map([
    ['saved_model.pb', encodeSavedModel(graph)],
    // TensorFlow's place for what comes along with a model.
    ['assets.extra/stillhouse.json', new TextEncoder().encode(JSON.stringify(metadata))],
  ]);
}

/** The network of an artefact and its tensors, which are checked against each other. Errors as for `exportModel`. */
export function weightsOf(artefact: DecodedArtefact): Weights {
  return { network: lowerNetwork(specOf(artefact), artefact.manifest.input), tensors: artefact.tensors };
}

function specOf({ manifest, tensors }: DecodedArtefact): ModelSpec {
  const model = networkOf(manifest);
  importTensors(model, tensors);
  return model;
}
