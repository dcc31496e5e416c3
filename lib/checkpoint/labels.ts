/**
 * A teacher's answers to the images of a data set, each as it is, without augmentation: what is computed once and then looked
 * up. An object of the store, written as safetensors.
 */
import { StillhouseError } from '../base/errors.ts';
import { digestSchema } from '../data/json-document.ts';
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from '../model/safetensors.ts';
import type { ObjectStore } from './store.ts';

export interface LabelsTable {
  /** Of the data set whose samples `ids` names. */
  readonly datasetDigest: string;
  /** Of the artefact of the model that answered. */
  readonly teacherDigest: string;
  /** Sample ids, ascending, each once. */
  readonly ids: Uint32Array;
  /** Of the teacher: columns of `logits`, in the order of its outputs. */
  readonly classes: number;
  /** Before any softmax, all finite, row-major [ids, classes]. */
  readonly logits: Float32Array;
}

const FORMAT_VERSION = '1';
const IDS = 'ids';
const LOGITS = 'logits';

/** Ids are written as float32, which holds all whole numbers below this. */
const ID_LIMIT = 2 ** 24;

const HINT = 'let the teacher label the images again';

/**
 * Equal tables give equal bytes.
 * @throws StillhouseError INVALID_ARGUMENT for a table that `decodeLabels` would refuse, above all for ids of 2^24 or more
 */
export function encodeLabels(table: LabelsTable): Uint8Array {
  const { datasetDigest, teacherDigest, ids, classes, logits } = table;
  const problem = problemOf(table);
  if (problem !== undefined) throw new StillhouseError('INVALID_ARGUMENT', `the labels cannot be stored: ${problem}`);
  const tensors = new Map<string, NamedTensor>([
    [IDS, { shape: [ids.length], values: Float32Array.from(ids) }],
    [LOGITS, { shape: [ids.length, classes], values: logits }],
  ]);
  return encodeSafetensors(tensors, { datasetDigest, teacherDigest, formatVersion: FORMAT_VERSION });
}

/**
 * Nothing of the bytes is believed.
 * @param where names the object in errors
 * @throws StillhouseError DATA_LOSS saying what is wrong
 */
export function decodeLabels(bytes: Uint8Array, where: string): LabelsTable {
  const { tensors, types, metadata } = decodeFile(bytes, where);
  const { datasetDigest, teacherDigest, formatVersion, ...rest } = metadata;
  if (formatVersion !== FORMAT_VERSION) {
    throw damaged(where, `formatVersion is ${formatVersion ?? 'missing'}, expected ${FORMAT_VERSION}`);
  }
  const unknown = [...Object.keys(rest), ...[...tensors.keys()].filter((name) => name !== IDS && name !== LOGITS)];
  if (unknown.length > 0) throw damaged(where, `${unknown.join(', ')} does not belong into it`);
  for (const name of [IDS, LOGITS]) {
    if (!tensors.has(name)) throw damaged(where, `the tensor ${name} is missing`);
    const type = types.get(name);
    if (type !== 'F32') throw damaged(where, `the tensor ${name} is of type ${type}, expected F32`);
  }
  const ids = tensors.get(IDS) as NamedTensor;
  const logits = tensors.get(LOGITS) as NamedTensor;
  const [rows, classes = 0] = logits.shape;
  if (ids.shape.length !== 1 || logits.shape.length !== 2 || rows !== ids.shape[0]) {
    throw damaged(where, `ids of [${ids.shape}] and logits of [${logits.shape}], expected [n] and [n, classes]`);
  }
  // A larger one would be wrapped around.
  const odd = ids.values.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= ID_LIMIT);
  if (odd !== -1) throw damaged(where, `ids[${odd}] is ${ids.values[odd]}, expected a whole number below ${ID_LIMIT}`);
  const table = {
    datasetDigest: datasetDigest ?? '',
    teacherDigest: teacherDigest ?? '',
    ids: Uint32Array.from(ids.values),
    classes,
    logits: logits.values,
  };
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

/** The row of `logits` that answers a sample; -1 where the table lacks it. */
export function rowOf({ ids }: LabelsTable, id: number): number {
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] as number) < id) low = middle + 1;
    else high = middle;
  }
  return ids[low] === id ? low : -1;
}

/** Why it is not a table of labels, in half a sentence; undefined when it is one. */
function problemOf({ datasetDigest, teacherDigest, ids, classes, logits }: LabelsTable): string | undefined {
  for (const [name, digest] of Object.entries({ datasetDigest, teacherDigest })) {
    if (!digestSchema.safeParse(digest).success)
      return `${name} is ${JSON.stringify(digest)}, expected sha256: and 64 hex digits`;
  }
  if (ids.length === 0 || classes === 0)
    return `it has ${ids.length} ids and ${classes} classes, expected some of both`;
  if (logits.length !== ids.length * classes) {
    return `it has ${logits.length} logits, expected ${ids.length} x ${classes}`;
  }
  const last = ids.findIndex((id, row) => row > 0 && id <= (ids[row - 1] as number));
  if (last !== -1) return `ids[${last}] is ${ids[last]}, which is not above ${ids[last - 1]}, the one before it`;
  const highest = ids[ids.length - 1] as number;
  if (highest >= ID_LIMIT) return `the id ${highest} is not below ${ID_LIMIT}`;
  const at = logits.findIndex((logit) => !Number.isFinite(logit));
  if (at === -1) return undefined;
  return `the logit of sample ${ids[Math.floor(at / classes)]} for class ${at % classes} is ${logits[at]}`;
}

/** @throws FAILED_PRECONDITION, field `labels_digest`, when the table is of other data, another teacher or other classes */
export function requireLabels(
  table: LabelsTable,
  digest: string,
  expected: { readonly datasetDigest: string; readonly teacherDigest?: string; readonly classes: number },
): void {
  const of = (what: string, actual: string | number, wanted: string | number) => {
    if (actual === wanted) return;
    const message = `labels ${digest} are of ${what} ${actual}, expected ${wanted}`;
    throw new StillhouseError('FAILED_PRECONDITION', message, { field: 'labels_digest' });
  };
  of('data set', table.datasetDigest, expected.datasetDigest);
  of('teacher', table.teacherDigest, expected.teacherDigest ?? table.teacherDigest);
  of('a teacher whose number of classes is', table.classes, expected.classes);
}

function decodeFile(bytes: Uint8Array, where: string): ReturnType<typeof decodeSafetensors> {
  try {
    return decodeSafetensors(bytes, where);
  } catch (cause) {
    const { message } = StillhouseError.from(cause);
    throw new StillhouseError('DATA_LOSS', message, { field: where, hint: HINT, cause });
  }
}

function damaged(where: string, problem: string): StillhouseError {
  return new StillhouseError('DATA_LOSS', `${where}: ${problem}`, { field: where, hint: HINT });
}
