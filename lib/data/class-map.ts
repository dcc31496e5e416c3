/** Class maps: a model's classes as a named subset of a larger set, and labels as indices into that subset. */
import { invariant, StillhouseError } from '../base/errors.ts';
import { selectIds } from './sample-ids.ts';

/** A subset of classes in the order of a model's outputs. */
export interface ClassSubset {
  /** Index in the parent's class list, for every output. */
  readonly classIds: Int32Array;
  readonly classNames: string[];
}

/**
 * Looks classes up by name or by number in the parent's list; the order asked for is the order of the outputs.
 *
 * @param field names the list in errors, e.g. `students[0].classes`.
 * @throws StillhouseError INVALID_ARGUMENT for an empty list, a class that the parent lacks, or one that is named twice.
 */
export function resolveClasses(
  classes: readonly (string | number)[],
  parentClassNames: readonly string[],
  field: string,
): ClassSubset {
  if (classes.length === 0) throw new StillhouseError('INVALID_ARGUMENT', `${field} names no class`, { field });
  const classIds: number[] = [];
  for (const [index, wanted] of classes.entries()) {
    const at = `${field}[${index}]`;
    const id = typeof wanted === 'number' ? wanted : parentClassNames.indexOf(wanted);
    if (!Number.isInteger(id) || parentClassNames[id] === undefined) {
      throw new StillhouseError('INVALID_ARGUMENT', `${at} is ${JSON.stringify(wanted)}, which is not a class`, {
        field: at,
        hint: `the classes are 0 to ${parentClassNames.length - 1}: ${parentClassNames.join(', ')}`,
      });
    }
    if (classIds.includes(id)) {
      throw new StillhouseError('INVALID_ARGUMENT', `${at} names the class ${parentClassNames[id]} a second time`, {
        field: at,
      });
    }
    classIds.push(id);
  }
  return { classIds: Int32Array.from(classIds), classNames: classIds.map((id) => parentClassNames[id] as string) };
}

/**
 * The samples whose class is in the subset, in the order given.
 *
 * @param labels class in the parent of every sample of the data set, by id.
 */
export function restrictToClasses(
  ids: Uint32Array,
  labels: ArrayLike<number>,
  classIds: ArrayLike<number>,
): Uint32Array {
  const isIn = classTable(classIds);
  return selectIds(ids, (id) => isIn[labels[id] as number] === 1);
}

/** 1 at the number of every class of a subset, up to the largest: to look the classes of millions of samples up. */
export function classTable(classIds: ArrayLike<number>): Uint8Array {
  const ids = Uint32Array.from(classIds);
  const table = new Uint8Array(1 + ids.reduce((most, id) => Math.max(most, id), 0));
  for (const id of ids) table[id] = 1;
  return table;
}

const NO_OUTPUT = -1;

/**
 * Labels within the subset: for a sample id, an index into `classIds`. The sample's class must be in the subset, unless
 * there is a dustbin; use `restrictToClasses` first.
 *
 * @param labels class in the parent of every sample of the data set, by id.
 * @param dustbin whether samples of other classes have a label too, the one behind the last of `classIds`
 */
export function labelWithin(
  labels: ArrayLike<number>,
  classIds: ArrayLike<number>,
  dustbin = false,
): (id: number) => number {
  // A table, because it is asked for millions of samples.
  const outputs = new Int32Array(classTable(classIds).length).fill(NO_OUTPUT);
  for (const [output, classId] of Array.from(classIds).entries()) outputs[classId] = output;
  const others = dustbin ? classIds.length : NO_OUTPUT;
  return (id) => {
    const output = outputs[labels[id] as number] ?? NO_OUTPUT;
    if (output !== NO_OUTPUT) return output;
    invariant(others !== NO_OUTPUT, `the class of sample ${id} is in the subset`);
    return others;
  };
}
