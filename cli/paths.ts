/** Where our own programs are, and the package that they belong to. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/** This file is `.ts` in a checkout, run through tsx, and `.js` where the project has been compiled. */
const OWN_FILE = fileURLToPath(import.meta.url);
const ROOT = dirname(dirname(OWN_FILE));

/** Node's arguments that run one of our programs, named from the repository root without its extension. */
export function programArguments(program: string): string[] {
  const extension = extname(OWN_FILE);
  const file = join(ROOT, `${program}${extension}`);
  // tsx by its resolved address: the working directory may be anywhere.
  return extension === '.ts' ? [`--import=${import.meta.resolve('tsx')}`, file] : [file];
}

/** A script of the package, plain JavaScript: beside the sources, or above the folder that they were compiled into. */
export function scriptFile(name: string): string {
  return join(packageRoot(), 'scripts', name);
}

/** The folder of our package.json. */
export function packageRoot(): string {
  return existsSync(join(ROOT, 'package.json')) ? ROOT : dirname(ROOT);
}

const packageSchema = z.object({ version: z.string(), engines: z.object({ node: z.string() }) });

/** Our package.json. */
export function readPackage(): z.infer<typeof packageSchema> {
  return packageSchema.parse(JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')));
}
