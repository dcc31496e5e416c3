/** What a job says of its networks by files: layers are put into the job, weights are named so that services find them. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parse } from 'yaml';
import { StillhouseError } from '../lib/base/errors.ts';
import type { ArchitectureSpec, LayerList } from '../lib/model/architecture-choice.ts';
import { parseArchitecture } from '../lib/model/architecture-schema.ts';
import type { JobFile, JobSpec } from '../lib/wire/job-file.ts';
import type { NetworkSpec } from '../lib/wire/job-spec.ts';

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
      throw new StillhouseError(error.code, message, { field, cause: error });
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

async function layersOf(arch: ArchitectureSpec, folder: string): Promise<ArchitectureSpec> {
  if (typeof arch !== 'string' || !/\.(ya?ml|json)$/.test(arch)) return arch;
  let text: string;
  try {
    text = await readFile(resolve(folder, arch), 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : String(error);
    throw new StillhouseError('NOT_FOUND', `cannot read ${arch}: ${reason}`, { cause: error });
  }
  // The schema checks it; what it fills in is filled in again wherever the layers are read.
  return parseArchitecture(parseYaml(text, arch), arch) as unknown as LayerList;
}

function parseYaml(text: string, where: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    // What follows the first line is the place once more, as a drawing.
    const [reason = ''] = (cause as Error).message.split('\n');
    throw new StillhouseError('INVALID_ARGUMENT', `${where}: not valid YAML: ${reason.replace(/:$/, '')}`, { cause });
  }
}
