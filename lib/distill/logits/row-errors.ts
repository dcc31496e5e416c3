/** What is wrong with rows of logits, named by row and column. */
import { StillhouseError } from '../../base/errors.ts';

/** @param where the rows come from */
export function corruptLogits(where: string, problem: string): StillhouseError {
  return new StillhouseError('DATA_LOSS', `${where}: ${problem}`);
}

/** @param at index of a value in rows of `columns` */
export function corruptLogit(where: string, at: number, columns: number, problem: string): StillhouseError {
  return corruptLogits(where, `row ${Math.floor(at / columns)}, column ${at % columns}: ${problem}`);
}

/** @param at index of a logit in rows of `columns` @param holds what the encoding can hold */
export function unfitLogit(at: number, columns: number, value: number, holds: string): StillhouseError {
  const place = `row ${Math.floor(at / columns)}, column ${at % columns}`;
  return new StillhouseError('FAILED_PRECONDITION', `the logit ${value} of ${place} does not fit ${holds}`, {
    field: 'distill.logits',
    hint: 'choose an encoding with a wider range for distill.logits and distill.cache.encoding: bf16 or fp32',
  });
}

/** @throws DATA_LOSS naming the first value that is not finite */
export function requireFiniteLogits(logits: Float32Array, columns: number): void {
  for (let at = 0; at < logits.length; at++) {
    const value = logits[at] as number;
    if (value - value !== 0) throw corruptLogit('logits to send', at, columns, `the logit is ${value}`);
  }
}
