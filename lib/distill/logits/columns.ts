/**
 * A teacher's logits as a student gets them: the columns of its classes, in the order of its outputs, and for a student with
 * a dustbin one more, which stands for all other classes.
 */
import { StillhouseError } from '../../base/errors.ts';
import { softSum } from './log-sum-exp.ts';

export interface StudentColumns {
  /** For each class of the student, its place in the teacher's outputs. */
  readonly own: readonly number[];
  /** The teacher's other outputs, and the temperature T of the softmax that they are joined for; null without a dustbin. */
  readonly dustbin: { readonly rest: readonly number[]; readonly temperature: number } | null;
}

export interface ColumnsRequest {
  /** Classes of the student, by name. */
  readonly classNames: readonly string[];
  /** 0 for a student without a dustbin. */
  readonly dustbinTemperature: number;
}

/**
 * @param teacherClassNames in the order of the teacher's outputs
 * @throws StillhouseError FAILED_PRECONDITION for classes that the teacher lacks, and when they leave none for the dustbin;
 *   INVALID_ARGUMENT for a temperature that is none
 */
export function studentColumns(request: ColumnsRequest, teacherClassNames: readonly string[]): StudentColumns {
  const { classNames, dustbinTemperature: temperature } = request;
  if (!Number.isFinite(temperature) || temperature < 0) {
    const message = `dustbin_temperature is ${temperature}, expected a finite number above 0, or 0 without a dustbin`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: 'dustbin_temperature' });
  }
  const outputs = firstOutputs(teacherClassNames);
  const lacking = classNames.filter((name) => !outputs.has(name));
  if (lacking.length > 0) throw unmet(`the teacher lacks the classes ${lacking.join(', ')}`);
  const own = classNames.map((name) => outputs.get(name) as number);
  if (temperature === 0) return { own, dustbin: null };
  const owned = new Set(own);
  const rest = [...teacherClassNames.keys()].filter((output) => !owned.has(output));
  if (rest.length === 0) throw unmet('the student has all classes of the teacher: nothing is left for its dustbin');
  return { own, dustbin: { rest, temperature } };
}

/** By name; of outputs of one name the first. */
function firstOutputs(classNames: readonly string[]): Map<string, number> {
  const outputs = new Map<string, number>();
  for (const [output, name] of classNames.entries()) if (!outputs.has(name)) outputs.set(name, output);
  return outputs;
}

/** Whether they are all of the teacher's outputs, as they are. */
export function areAllColumns({ own, dustbin }: StudentColumns, teacherClasses: number): boolean {
  return dustbin === null && own.length === teacherClasses && own.every((output, index) => output === index);
}

/** Columns of what `selectColumns` answers. */
export function columnCount({ own, dustbin }: StudentColumns): number {
  return own.length + (dustbin === null ? 0 : 1);
}

/**
 * [rows, the teacher's classes] → [rows, `columnCount`], both row-major. A softmax at T gives the dustbin's column
 * T·log Σ exp(z / T), over the logits z of the other classes, their whole probability (Hinton, Vinyals and Dean 2015,
 * section 5.3: one class for all that is not the specialist's).
 *
 * @returns the logits themselves where these are all columns, as they are
 */
export function selectColumns(logits: Float32Array, classes: number, columns: StudentColumns): Float32Array {
  if (areAllColumns(columns, classes)) return logits;
  const { own, dustbin } = columns;
  const others = new Float32Array(dustbin === null ? 0 : dustbin.rest.length);
  const rows = logits.length / classes;
  const width = columnCount(columns);
  const selected = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const from = logits.subarray(row * classes, (row + 1) * classes);
    const to = selected.subarray(row * width, (row + 1) * width);
    pick(from, own, to);
    if (dustbin === null) continue;
    pick(from, dustbin.rest, others);
    to[own.length] = softSum(others, dustbin.temperature);
  }
  return selected;
}

function pick(row: Float32Array, outputs: readonly number[], into: Float32Array): void {
  for (let index = 0; index < outputs.length; index++) into[index] = row[outputs[index] as number] as number;
}

function unmet(message: string): StillhouseError {
  return new StillhouseError('FAILED_PRECONDITION', message, { field: 'class_names' });
}
