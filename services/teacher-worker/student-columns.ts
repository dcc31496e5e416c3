/**
 * A teacher's logits as a student gets them: the columns of its classes, in the order of its outputs, and for a student with
 * a dustbin one more, which stands for all other classes.
 */
import { StillhouseError } from '../../lib/base/errors.ts';

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
  const own = classNames.map((name) => teacherClassNames.indexOf(name));
  const lacking = classNames.filter((_, index) => own[index] === -1);
  if (lacking.length > 0) throw unmet(`the teacher lacks the classes ${lacking.join(', ')}`);
  if (temperature === 0) return { own, dustbin: null };
  const rest = [...teacherClassNames.keys()].filter((output) => !own.includes(output));
  if (rest.length === 0) throw unmet('the student has all classes of the teacher: nothing is left for its dustbin');
  return { own, dustbin: { rest, temperature } };
}

/** Columns of what `selectColumns` answers. */
export function columnCount({ own, dustbin }: StudentColumns): number {
  return own.length + (dustbin === null ? 0 : 1);
}

/**
 * [rows, the teacher's classes] → [rows, `columnCount`], both row-major. A softmax at T gives the dustbin's column
 * T·log Σ exp(z / T), over the logits z of the other classes, their whole probability (Hinton, Vinyals and Dean 2015,
 * section 5.3: one class for all that is not the specialist's).
 */
export function selectColumns(logits: Float32Array, classes: number, columns: StudentColumns): Float32Array {
  const { own, dustbin } = columns;
  const rows = logits.length / classes;
  const width = columnCount(columns);
  const selected = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const from = logits.subarray(row * classes, (row + 1) * classes);
    for (const [index, output] of own.entries()) selected[row * width + index] = from[output] as number;
    if (dustbin !== null) selected[row * width + own.length] = joinedLogit(from, dustbin.rest, dustbin.temperature);
  }
  return selected;
}

/** T·log Σ exp(z / T), with the largest z taken out before the exponentials, so that none overflows. */
function joinedLogit(logits: Float32Array, outputs: readonly number[], temperature: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const output of outputs) largest = Math.max(largest, logits[output] as number);
  let sum = 0;
  for (const output of outputs) sum += Math.exp(((logits[output] as number) - largest) / temperature);
  return largest + temperature * Math.log(sum);
}

function unmet(message: string): StillhouseError {
  return new StillhouseError('FAILED_PRECONDITION', message, { field: 'class_names' });
}
