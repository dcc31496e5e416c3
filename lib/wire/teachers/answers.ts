/** What a teacher's answer must be before anybody learns from it. */
import { StillhouseError } from '../../base/errors.ts';

/**
 * @param logits row-major [rows, classNames]
 * @param where names the teacher in errors
 * @throws DATA_LOSS naming row and class of the first that is not finite
 */
export function requireFinite(logits: Float32Array, classNames: readonly string[], where: string): void {
  const at = logits.findIndex((value) => !Number.isFinite(value));
  if (at === -1) return;
  throw new StillhouseError('DATA_LOSS', `${where} answers ${logits[at]} for ${placeOf(at, classNames)}`, {
    hint: 'its weights, or what it does to images first, give numbers beyond what it can hold',
  });
}

/** The logarithm of the smallest normal number in single precision: softmax answers 0 for what is less. */
const LOG_OF_ZERO = Math.log(2 ** -126);
/** By which a probability may lie beyond 0 or 1: half precision, or a model that computes with 8 bits. */
const ROUNDING = 0.01;

/**
 * Logits whose softmax is these probabilities: their logarithms. A probability of 0 becomes the smallest that there is.
 * @param values row-major [rows, classNames]
 * @throws DATA_LOSS naming row and class of the first that is no probability
 */
export function logitsOfProbabilities(
  values: Float32Array,
  classNames: readonly string[],
  where: string,
): Float32Array {
  const at = values.findIndex((value) => !(value >= -ROUNDING && value <= 1 + ROUNDING));
  if (at !== -1) {
    const message = `${where} answers ${values[at]} for ${placeOf(at, classNames)}, which is no probability`;
    throw new StillhouseError('DATA_LOSS', message, {
      hint: 'if the model answers logits, leave from.output.kind out',
    });
  }
  return values.map((value) => (value > 0 ? Math.max(Math.log(value), LOG_OF_ZERO) : LOG_OF_ZERO));
}

function placeOf(index: number, classNames: readonly string[]): string {
  const [row, column] = [Math.floor(index / classNames.length), index % classNames.length];
  return `row ${row}, class ${classNames[column]}`;
}
