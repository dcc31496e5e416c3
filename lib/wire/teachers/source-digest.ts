/** Which model it is that a job brings along. */
import { sha256 } from '../../base/digest.ts';
import { canonicalJson } from '../../data/canonical-json.ts';
import type { EndpointSource, FileSource } from '../job-spec.ts';

/**
 * Of everything that decides what the teacher answers: where it comes from, by the digest of its files, how it is asked, which
 * classes it answers for. Equal digests mean equal answers.
 * @param served what a server says of the model that it serves; null for files
 */
export function sourceDigest(
  source: FileSource | EndpointSource,
  classNames: readonly string[],
  served: object | null,
): string {
  // How long an answer may take changes nothing about it; which version gives it is said by the server.
  const { timeoutMs: _, version: _wanted, ...decisive } = { timeoutMs: 0, version: '', ...source };
  return sha256(canonicalJson({ ...decisive, classNames, served }));
}
