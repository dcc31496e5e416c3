/** Architectures that users keep in files of their own, as lists of layers. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parse } from 'yaml';
import { StillhouseError } from '../lib/base/errors.ts';
import type { ArchitectureSpec, LayerList } from '../lib/model/architecture-choice.ts';
import { parseArchitecture } from '../lib/model/architecture-schema.ts';

/**
 * The layers of a .yaml, .yml or .json file; whatever else an architecture may be stays as it is.
 * @param folder from which paths are meant
 * @throws NOT_FOUND or INVALID_ARGUMENT for a file that cannot be read or used
 */
export async function layersOf(arch: ArchitectureSpec, folder: string): Promise<ArchitectureSpec> {
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
