/** What a specialist may answer: anything else is its error, not the request's. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { outputOf } from '../../lib/wire/oip/client.ts';
import { shapeText } from '../../lib/wire/oip/datatypes.ts';
import { LOGITS } from '../../lib/wire/oip/image-signature.ts';
import type { InferResponse } from '../../lib/wire/oip/types.ts';

/**
 * The logits of an answer, [rows, outputs].
 * @param outputs as many as the leg has classes, and one more for a dustbin
 * @throws DATA_LOSS when they are missing, of another shape or type, or not finite: no rule could compare them.
 */
export function logitsOf(response: InferResponse, rows: number, outputs: number): Float32Array {
  const { values, shape, datatype } = outputOf(response, LOGITS);
  const isFit = shape.length === 2 && shape[0] === rows && shape[1] === outputs;
  if (!isFit || !(values instanceof Float32Array)) {
    throw new StillhouseError(
      'DATA_LOSS',
      `it answered logits ${datatype} ${shapeText(shape)}, expected FP32 ${shapeText([rows, outputs])}`,
    );
  }
  const broken = values.findIndex((value) => !Number.isFinite(value));
  if (broken < 0) return values;
  const row = Math.floor(broken / outputs);
  throw new StillhouseError('DATA_LOSS', `it answered the logit ${values[broken]} for row ${row}`);
}
