/** Which models answer alike, whoever has trained them and whatever they are called. */
import { sha256 } from '../base/digest.ts';
import { canonicalJson } from '../data/canonical-json.ts';
import type { ModelManifest } from './model-manifest.ts';

/**
 * Of everything that decides what the model answers: network, input, preprocessing, classes in order, weights. Name, lineage
 * and metrics are left out. Equal digests mean equal answers.
 */
export function answersDigest(manifest: ModelManifest): string {
  const { architecture, input, preprocessing, classNames, dustbin = false, weights } = manifest;
  return sha256(canonicalJson({ architecture, input, preprocessing, classNames, dustbin, weights: weights.digest }));
}
