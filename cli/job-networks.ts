/** What a job says of its networks by files: layers are put into the job, weights are named so that services find them. */
import { resolve } from 'node:path';
import { StillhouseError } from '../lib/base/errors.ts';
import type { JobFile, JobSpec } from '../lib/wire/job-file.ts';
import type { NetworkSpec } from '../lib/wire/job-spec.ts';
import { layersOf } from './layer-file.ts';

/**
 * @param folder of the job file: paths are meant from there
 * @throws INVALID_ARGUMENT or NOT_FOUND, naming the field, for a file of layers that cannot be read or used
 */
export async function resolveNetworks(spec: JobSpec, folder: string, locate: JobFile['locate']): Promise<JobSpec> {
  const resolved = async <T extends NetworkSpec>(network: T, path: readonly [string, number]): Promise<T> => {
    const { arch, init } = network;
    try {
      return {
        ...network,
        arch: await layersOf(arch, folder),
        ...(init !== undefined && isPath(init) && { init: resolve(folder, init) }),
      };
    } catch (thrown) {
      const error = StillhouseError.from(thrown);
      const field = `${path[0]}[${path[1]}].arch`;
      const message = `${field}: ${error.message}${locate([...path, 'arch'])}`;
      const { code, hint } = error;
      throw new StillhouseError(code, message, { field, ...(hint !== undefined && { hint }), cause: error });
    }
  };
  return {
    ...spec,
    teachers: await Promise.all(spec.teachers.map((teacher, index) => resolved(teacher, ['teachers', index]))),
    students: await Promise.all(spec.students.map((student, index) => resolved(student, ['students', index]))),
  };
}

function isPath(init: string): boolean {
  return /^(\.{0,2}\/)|\.(pth|pt|safetensors)$/.test(init);
}
