/** Checks and answers that every backend and both front ends share. */
import { StillhouseError } from '../../base/errors.ts';
import type { InferRequest, InferResponse, OipTensor, Parameters } from './types.ts';

/** The extensions that our servers understand, for the server's metadata. */
export const EXTENSIONS: readonly string[] = ['binary_tensor_data'];

/** @throws INVALID_ARGUMENT when an input or an output is named twice, or an input has no name. */
export function checkNames(request: Pick<InferRequest, 'inputs' | 'outputs'>): void {
  checkUnique(
    request.inputs.map((input) => input.name),
    'input',
  );
  checkUnique(request.outputs, 'output');
}

function checkUnique(names: readonly string[], kind: string): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (name === '') throw new StillhouseError('INVALID_ARGUMENT', `an ${kind} has no name`, { field: `${kind}s` });
    if (seen.has(name)) {
      throw new StillhouseError('INVALID_ARGUMENT', `${kind} "${name}" is given twice`, { field: name });
    }
    seen.add(name);
  }
}

/**
 * The names of the outputs to answer, of those that the model has.
 * @throws INVALID_ARGUMENT naming an output that it has not.
 */
export function selectOutputs(request: InferRequest, available: readonly string[]): readonly string[] {
  const unknown = request.outputs.find((name) => !available.includes(name));
  if (unknown !== undefined) {
    throw new StillhouseError('INVALID_ARGUMENT', `model "${request.modelName}" has no output "${unknown}"`, {
      field: unknown,
      hint: `its outputs are ${available.join(', ')}`,
    });
  }
  return request.outputs.length > 0 ? request.outputs : available;
}

/** The response to a request: its name and id repeated, of the outputs those that were asked for. */
export function respond(
  request: InferRequest,
  modelVersion: string,
  outputs: readonly OipTensor[],
  parameters: Parameters = {},
): InferResponse {
  const names = selectOutputs(
    request,
    outputs.map((output) => output.name),
  );
  return {
    modelName: request.modelName,
    modelVersion,
    id: request.id,
    parameters,
    outputs: names.map((name) => outputs.find((output) => output.name === name) as OipTensor),
  };
}
