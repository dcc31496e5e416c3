/** What a file of weights holds, for people and for programs. Pure. */

import type { WeightsFile } from '../lib/model/weights-file.ts';
import { architecturesThatFit, type Fit } from '../lib/model/weights-fit.ts';
import type { WeightsSource } from '../lib/model/weights-source.ts';
import { counted, grouped, table } from './text.ts';

export interface TensorSummary {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly number[];
  readonly values: number;
  /** Of the finite values; null where there is none. */
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  readonly notFinite: number;
}

export interface Inspection
  extends Pick<WeightsFile, 'format' | 'name' | 'digest' | 'metadata' | 'stateDict' | 'others'> {
  readonly tensors: readonly TensorSummary[];
  readonly values: number;
  readonly fits: readonly Fit[];
}

export function inspectWeights({ file, tensors: renamed }: WeightsSource): Inspection {
  const { format, name, digest, metadata, stateDict, others } = file;
  const tensors = [...file.tensors].map(([tensor, { shape, values }]) => ({
    name: tensor,
    type: file.types.get(tensor) ?? 'F32',
    shape,
    values: values.length,
    ...summarise(values),
  }));
  const values = tensors.reduce((sum, tensor) => sum + tensor.values, 0);
  return { format, name, digest, metadata, stateDict, others, tensors, values, fits: architecturesThatFit(renamed) };
}

function summarise(values: Float32Array): Pick<TensorSummary, 'min' | 'max' | 'mean' | 'notFinite'> {
  let [min, max, sum, finite] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
    finite++;
  }
  const notFinite = values.length - finite;
  return finite === 0 ? { min: null, max: null, mean: null, notFinite } : { min, max, mean: sum / finite, notFinite };
}

export function inspectionLines(inspection: Inspection): string[] {
  const { name, format, digest, metadata, stateDict, others, tensors, values, fits } = inspection;
  const rows = tensors.map((tensor) => [
    tensor.name,
    tensor.type,
    `[${tensor.shape.join(', ')}]`,
    grouped(tensor.values),
    ...[tensor.min, tensor.max, tensor.mean].map((value) => value?.toPrecision(4) ?? '-'),
    tensor.notFinite === 0 ? '' : `${grouped(tensor.notFinite)} not finite`,
  ]);
  const lines = [`${name}: ${format}, ${counted(tensors.length, 'tensor')}, ${counted(values, 'value')}`, digest];
  if (stateDict !== '') lines.push(`state dict: under ${stateDict}`);
  if (others.length > 0) lines.push(`left aside: ${others.join(', ')}`);
  for (const [key, value] of Object.entries(metadata)) lines.push(`${key}: ${value}`);
  const fit = fits.map(({ architecture, classes, size }) => `${architecture} (${classes} classes, ${size} x ${size})`);
  lines.push(fit.length === 0 ? 'fits no architecture of the zoo' : `fits ${fit.join(', ')}`, '');
  return [...lines, ...table([['TENSOR', 'TYPE', 'SHAPE', 'VALUES', 'MIN', 'MAX', 'MEAN', ''], ...rows])];
}
