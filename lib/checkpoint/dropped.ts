/**
 * What the epochs of a training have left out, by sample ids: an object of the store. A line of JSON says how many ids each epoch
 * has; the ids follow, epoch after epoch, as little-endian uint32.
 */
import { z } from 'zod';
import { StillhouseError } from '../base/errors.ts';
import { checkDocument, digestSchema, parseJsonDocument } from '../data/json-document.ts';
import type { ObjectStore } from './store.ts';

export interface DroppedSamples {
  /** Of the data set whose samples the ids name. */
  readonly datasetDigest: string;
  /** One list per epoch, the first epoch's first: ids that no step of it has used, ascending, each once. */
  readonly epochs: readonly Uint32Array[];
}

const headerSchema = z.strictObject({
  formatVersion: z.literal(1),
  datasetDigest: digestSchema,
  idsPerEpoch: z.array(z.int().min(0).max(0xffffffff)),
});

const NEWLINE = 0x0a;
const ID_BYTES = Uint32Array.BYTES_PER_ELEMENT;

/** Equal lists give equal bytes. @throws StillhouseError INVALID_ARGUMENT for lists that `decodeDropped` would refuse */
export function encodeDropped({ datasetDigest, epochs }: DroppedSamples): Uint8Array {
  const problem = epochs.map(problemOf).find((found) => found !== undefined);
  if (problem !== undefined)
    throw new StillhouseError('INVALID_ARGUMENT', `what was dropped cannot be stored: ${problem}`);
  const idsPerEpoch = epochs.map(({ length }) => length);
  const header = checkDocument({ formatVersion: 1, datasetDigest, idsPerEpoch }, headerSchema, 'dropped samples');
  const head = new TextEncoder().encode(`${JSON.stringify(header)}\n`);
  const ids = idsPerEpoch.reduce((sum, count) => sum + count, 0);
  const bytes = new Uint8Array(head.length + ids * ID_BYTES);
  bytes.set(head);
  const view = new DataView(bytes.buffer, head.length);
  let at = 0;
  for (const epoch of epochs) for (const id of epoch) view.setUint32(ID_BYTES * at++, id, true);
  return bytes;
}

/**
 * Nothing of the bytes is believed.
 * @param where names the object in errors
 * @throws StillhouseError DATA_LOSS saying what is wrong
 */
export function decodeDropped(bytes: Uint8Array, where: string): DroppedSamples {
  const end = bytes.indexOf(NEWLINE);
  if (end < 0) throw damaged(where, 'its first line has no end');
  const { datasetDigest, idsPerEpoch } = decodeHeader(bytes.subarray(0, end), where);
  const ids = idsPerEpoch.reduce((sum, count) => sum + count, 0);
  const body = bytes.subarray(end + 1);
  if (body.length !== ids * ID_BYTES) {
    throw damaged(where, `it has ${body.length} bytes of ids, expected ${ids * ID_BYTES} for ${ids} of them`);
  }
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  let at = 0;
  const epochs = idsPerEpoch.map((count) =>
    Uint32Array.from({ length: count }, () => view.getUint32(ID_BYTES * at++, true)),
  );
  const problem = epochs.map(problemOf).find((found) => found !== undefined);
  if (problem !== undefined) throw damaged(where, problem);
  return { datasetDigest, epochs };
}

/** Stores the lists and answers their digest. @throws what `encodeDropped` and the store throw */
export async function storeDropped(store: ObjectStore, dropped: DroppedSamples): Promise<string> {
  return store.put(encodeDropped(dropped));
}

/** @throws StillhouseError NOT_FOUND when it is not in the store; what `decodeDropped` throws */
export async function loadDropped(store: ObjectStore, digest: string): Promise<DroppedSamples> {
  return decodeDropped(await store.get(digest), `dropped samples ${digest}`);
}

function decodeHeader(bytes: Uint8Array, where: string): z.infer<typeof headerSchema> {
  try {
    return parseJsonDocument(new TextDecoder('utf-8', { fatal: true }).decode(bytes), headerSchema, where);
  } catch (cause) {
    throw damaged(where, StillhouseError.from(cause).message, cause);
  }
}

function problemOf(ids: Uint32Array, epoch: number): string | undefined {
  const at = ids.findIndex((id, index) => index > 0 && id <= (ids[index - 1] as number));
  if (at < 0) return undefined;
  return `in epoch ${epoch + 1} the id ${ids[at]} is not above ${ids[at - 1]}, the one before it`;
}

function damaged(where: string, problem: string, cause?: unknown): StillhouseError {
  const message = problem.startsWith(where) ? problem : `${where}: ${problem}`;
  return new StillhouseError('DATA_LOSS', message, { field: where, hint: 'train again', cause });
}
