/** What every exported model is called with and answers: a specialist's signature, so that any server gives our answers. */
import { canonicalJson } from '../../data/canonical-json.ts';
import type { DecodedArtefact } from '../artefact.ts';

/** The input: float32 [batch, height, width, 3], RGB 0..255; preprocessing is part of the model. */
export const IMAGE = 'image';

/** The output: float32 [batch, outputs], the classes in order and then the dustbin, if any. */
export const LOGITS = 'logits';

/** Images per call, or as many as are given. */
export type BatchSize = number | 'dynamic';

/** What an exported file says about where it came from; texts, as all formats take them. */
export function describeArtefact({ manifest, digest }: DecodedArtefact): Record<string, string> {
  return {
    'stillhouse.model': digest,
    'stillhouse.name': manifest.name,
    'stillhouse.classNames': JSON.stringify(manifest.classNames),
    // Whoever takes the argmax must know of the output that has no name.
    ...(manifest.dustbin === true ? { 'stillhouse.dustbin': 'true' } : {}),
    'stillhouse.preprocessing': canonicalJson(manifest.preprocessing),
    'stillhouse.lineage': canonicalJson(manifest.lineage),
  };
}
