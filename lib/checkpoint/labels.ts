/**
 * The class that a teacher answered for each image of a data set as it is, without augmentation: by it images without labels are
 * dealt out. An object of the store: 4 bytes of header length, a JSON header, sample ids in 32 bits, classes in 16 or 32 bits,
 * all little-endian.
 */
import { endianness } from 'node:os';
import { z } from 'zod';
import { bytesOf } from '../base/digest.ts';
import { invariant, StillhouseError } from '../base/errors.ts';
import { canonicalJson } from '../data/canonical-json.ts';
import { decodeUtf8, digestSchema, parseJsonDocument } from '../data/json-document.ts';
import type { ObjectStore } from './store.ts';

export interface LabelsTable {
  /** Of the data set whose samples `ids` names. */
  readonly datasetDigest: string;
  /** Of the teacher that answered. */
  readonly teacherDigest: string;
  /** Of the data set. */
  readonly classes: number;
  /** Sample ids, ascending, each once. */
  readonly ids: Uint32Array;
  /** By row of `ids`: a class of the data set. */
  readonly answers: Uint16Array | Uint32Array;
}

const FORMAT_VERSION = 2;
const LENGTH_BYTES = 4;
const HEADER_BYTES_MAX = 4096;
const ID_BYTES = Uint32Array.BYTES_PER_ELEMENT;

const HINT = 'let the teacher label the images again';

const headerSchema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  datasetDigest: digestSchema,
  teacherDigest: digestSchema,
  classes: z.int().min(1),
  samples: z.int().min(1),
});

/** An empty table of answers for so many samples. @param classes of the data set */
export function answersFor(samples: number, classes: number): Uint16Array | Uint32Array {
  return classes <= 2 ** 16 ? new Uint16Array(samples) : new Uint32Array(samples);
}

/**
 * Equal tables give equal bytes.
 * @throws StillhouseError INVALID_ARGUMENT for a table that `decodeLabels` would refuse
 */
export function encodeLabels(table: LabelsTable): Uint8Array {
  const problem = problemOf(table);
  if (problem !== undefined) throw new StillhouseError('INVALID_ARGUMENT', `the labels cannot be stored: ${problem}`);
  const { datasetDigest, teacherDigest, classes, ids, answers } = table;
  invariant(answers.BYTES_PER_ELEMENT === answerBytes(classes), 'answers are as wide as the classes need');
  invariant(endianness() === 'LE', 'typed arrays of this machine are little-endian, as the format is');
  const fields = { formatVersion: FORMAT_VERSION, datasetDigest, teacherDigest, classes, samples: ids.length };
  const header = Buffer.from(canonicalJson(fields));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(header.length);
  return Buffer.concat([length, header, bytesOf(ids), bytesOf(answers)]);
}

/**
 * Nothing of the bytes is believed.
 * @param where names the object in errors
 * @throws StillhouseError DATA_LOSS saying what is wrong
 */
export function decodeLabels(bytes: Uint8Array, where: string): LabelsTable {
  const { header, values } = cut(bytes, where);
  const { datasetDigest, teacherDigest, classes, samples } = readHeader(header, where);
  const expected = samples * (ID_BYTES + answerBytes(classes));
  if (values.length !== expected) {
    throw damaged(where, `has ${values.length} bytes of values, expected ${expected} for ${samples} samples`);
  }
  const answers = answersFor(samples, classes);
  const ids = new Uint32Array(samples);
  bytesOf(ids).set(values.subarray(0, ids.byteLength));
  bytesOf(answers).set(values.subarray(ids.byteLength));
  const table = { datasetDigest, teacherDigest, classes, ids, answers };
  const problem = problemOf(table);
  if (problem !== undefined) throw damaged(where, problem);
  return table;
}

/** Stores the table and answers its digest. @throws what `encodeLabels` and the store throw */
export async function storeLabels(store: ObjectStore, table: LabelsTable): Promise<string> {
  return store.put(encodeLabels(table));
}

/** @throws StillhouseError NOT_FOUND when it is not in the store; what `decodeLabels` throws */
export async function loadLabels(store: ObjectStore, digest: string): Promise<LabelsTable> {
  return decodeLabels(await store.get(digest), `labels ${digest}`);
}

/** The answer to each sample. What it answers throws DATA_LOSS for a sample that the table lacks. */
export function answersOf({ ids, answers, teacherDigest }: LabelsTable): (id: number) => number {
  return (id) => {
    let low = 0;
    let high = ids.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ids[middle] as number) < id) low = middle + 1;
      else high = middle;
    }
    if (ids[low] === id) return answers[low] as number;
    const message = `the labels of teacher ${teacherDigest} lack the image ${id}`;
    throw new StillhouseError('DATA_LOSS', message, { field: 'labels_digest', hint: HINT });
  };
}

/** @throws FAILED_PRECONDITION, field `labels_digest`, when the table is of other data or other classes */
export function requireLabels(
  table: LabelsTable,
  digest: string,
  expected: { readonly datasetDigest: string; readonly classes: number },
): void {
  const of = (what: string, actual: string | number, wanted: string | number) => {
    if (actual === wanted) return;
    const message = `labels ${digest} are of ${what} ${actual}, expected ${wanted}`;
    throw new StillhouseError('FAILED_PRECONDITION', message, { field: 'labels_digest' });
  };
  of('data set', table.datasetDigest, expected.datasetDigest);
  of('a data set whose number of classes is', table.classes, expected.classes);
}

function answerBytes(classes: number): number {
  return answersFor(0, classes).BYTES_PER_ELEMENT;
}

/** Why it is not a table of labels, in half a sentence; undefined when it is one. */
function problemOf({ datasetDigest, teacherDigest, classes, ids, answers }: LabelsTable): string | undefined {
  for (const [name, digest] of Object.entries({ datasetDigest, teacherDigest })) {
    if (!digestSchema.safeParse(digest).success)
      return `${name} is ${JSON.stringify(digest)}, expected sha256: and 64 hex digits`;
  }
  if (ids.length === 0 || classes === 0)
    return `it has ${ids.length} ids and ${classes} classes, expected some of both`;
  if (answers.length !== ids.length) return `it has ${answers.length} answers, expected ${ids.length}`;
  const last = ids.findIndex((id, row) => row > 0 && id <= (ids[row - 1] as number));
  if (last !== -1) return `ids[${last}] is ${ids[last]}, which is not above ${ids[last - 1]}, the one before it`;
  const strange = answers.findIndex((answer) => answer >= classes);
  if (strange === -1) return undefined;
  return `the answer to sample ${ids[strange]} is class ${answers[strange]}, expected 0 to ${classes - 1}`;
}

function cut(bytes: Uint8Array, where: string): { header: Uint8Array; values: Uint8Array } {
  if (bytes.length < LENGTH_BYTES) throw damaged(where, `has ${bytes.length} bytes, too few for labels`);
  const length = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getUint32(0, true);
  if (length > HEADER_BYTES_MAX || length > bytes.length - LENGTH_BYTES) {
    throw damaged(where, `says its header has ${length} bytes, more than it can have`);
  }
  const end = LENGTH_BYTES + length;
  return { header: bytes.subarray(LENGTH_BYTES, end), values: bytes.subarray(end) };
}

function readHeader(header: Uint8Array, where: string): z.output<typeof headerSchema> {
  try {
    return parseJsonDocument(decodeUtf8(header, where), headerSchema, where);
  } catch (cause) {
    const { message } = StillhouseError.from(cause);
    throw new StillhouseError('DATA_LOSS', message, { field: where, hint: HINT, cause });
  }
}

function damaged(where: string, problem: string): StillhouseError {
  return new StillhouseError('DATA_LOSS', `${where}: ${problem}`, { field: where, hint: HINT });
}
