/** The software's version, for servers that are asked what they are. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { invariant } from '../../base/errors.ts';

/** From the package's own file: above the source as well as above the compiled output. */
function readVersion(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
    invariant(dirname(folder) !== folder, 'a package.json lies above the program');
  }
}

export const SOFTWARE_VERSION = readVersion();
