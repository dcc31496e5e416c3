/**
 * The signature of specialists and routes: one of two inputs, `image` (FP32 or UINT8 [rows, height, width, 3], RGB
 * 0..255) or `image_bytes` (BYTES [rows], each a JPEG or PNG file), of at most `ROWS_MAX` rows. Preprocessing is the
 * server's affair.
 */
import { StillhouseError } from '../../base/errors.ts';
import { shapeText, tensorError } from './datatypes.ts';
import type { InferRequest, OipTensor, TensorMetadata } from './types.ts';

/** Rows that one request may have. More would keep other requests waiting; clients send several requests. */
export const ROWS_MAX = 1024;

export const IMAGE = 'image';
export const IMAGE_BYTES = 'image_bytes';
export const LOGITS = 'logits';
export const LABEL = 'label';

/** The name under which every specialist serves a model of this digest: without the colon that paths dislike. */
export function nameOfDigest(digest: string): string {
  return digest.replace(':', '-');
}

export interface ImageInput {
  readonly kind: typeof IMAGE | typeof IMAGE_BYTES;
  readonly tensor: OipTensor;
  /** 1 to `ROWS_MAX`. */
  readonly rows: number;
}

export function imageInputs(height: number, width: number): TensorMetadata[] {
  return [
    { name: IMAGE, datatype: 'FP32', shape: [-1, height, width, 3] },
    { name: IMAGE_BYTES, datatype: 'BYTES', shape: [-1] },
  ];
}

export function specialistOutputs(classes: number): TensorMetadata[] {
  return [
    { name: LOGITS, datatype: 'FP32', shape: [-1, classes] },
    { name: LABEL, datatype: 'BYTES', shape: [-1] },
  ];
}

/**
 * The one image input of a request.
 * @param size what the model takes; without it any height and width pass, for those who only hand the images on
 * @throws INVALID_ARGUMENT naming the input.
 */
export function imageInputOf(
  request: Pick<InferRequest, 'inputs'>,
  size?: { readonly height: number; readonly width: number },
): ImageInput {
  const [tensor, second] = request.inputs;
  const choices = `expected one input, "${IMAGE}" or "${IMAGE_BYTES}"`;
  if (tensor === undefined) throw new StillhouseError('INVALID_ARGUMENT', `there is no input, ${choices}`);
  const stranger = request.inputs.find(({ name }) => name !== IMAGE && name !== IMAGE_BYTES);
  if (stranger !== undefined) throw tensorError(stranger.name, `is unknown, ${choices}`);
  if (second !== undefined) throw tensorError(second.name, `is too many, ${choices}`);
  const kind = tensor.name === IMAGE ? IMAGE : IMAGE_BYTES;
  if (kind === IMAGE) checkImage(tensor, size);
  else checkImageBytes(tensor);
  const rows = tensor.shape[0] as number;
  if (rows === 0) throw tensorError(tensor.name, 'has no rows, expected at least one');
  if (rows > ROWS_MAX) throw tensorError(tensor.name, `has ${rows} rows, expected at most ${ROWS_MAX} in a request`);
  return { kind, tensor, rows };
}

function checkImage(tensor: OipTensor, size: { readonly height: number; readonly width: number } | undefined): void {
  if (tensor.datatype !== 'FP32' && tensor.datatype !== 'UINT8') {
    throw tensorError(tensor.name, `is ${tensor.datatype}, expected FP32 or UINT8`);
  }
  const [, height, width, channels] = tensor.shape;
  const isFit = size === undefined || (height === size.height && width === size.width);
  if (tensor.shape.length !== 4 || channels !== 3 || !isFit) {
    const expected = size === undefined ? '[-1,height,width,3]' : `[-1,${size.height},${size.width},3]`;
    throw tensorError(tensor.name, `has the shape ${shapeText(tensor.shape)}, expected ${expected} (RGB, 0 to 255)`);
  }
}

function checkImageBytes(tensor: OipTensor): void {
  if (tensor.datatype !== 'BYTES') throw tensorError(tensor.name, `is ${tensor.datatype}, expected BYTES`);
  if (tensor.shape.length !== 1) {
    throw tensorError(tensor.name, `has the shape ${shapeText(tensor.shape)}, expected [-1]: one JPEG or PNG per row`);
  }
}
