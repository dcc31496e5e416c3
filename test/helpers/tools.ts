/** Programs of others that documents use, and what stands in for those that are not there. */
import { accessSync, constants } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { realCacheRoot } from './data-root.ts';

/** Where the set-up of `npm test` puts it. */
const GRPCURL = 'tools/grpcurl/1.9.3/grpcurl';

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== undefined) return false;
    throw error;
  }
}

function onPath(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(path.delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => path.join(folder, name)).find(isProgram);
}

function findGrpcurl(): string | undefined {
  const named = process.env.STILLHOUSE_GRPCURL;
  if (named !== undefined && named !== '') return named;
  const cached = path.join(realCacheRoot(), GRPCURL);
  return isProgram(cached) ? cached : onPath('grpcurl');
}

/** Makes the folder hold `grpcurl` and `curl`, to be put on a PATH; says which they are. */
export async function provideTools(folder: string): Promise<string[]> {
  await mkdir(folder);
  const said: string[] = [];
  for (const [name, program] of [
    ['grpcurl', findGrpcurl()],
    ['curl', onPath('curl')],
  ] as const) {
    const file = path.join(folder, name);
    said.push(`${name}: ${program ?? 'the stand-in'}`);
    if (program !== undefined) {
      await symlink(program, file);
      continue;
    }
    const entry = fileURLToPath(new URL(`${name}-entry.ts`, import.meta.url));
    const command = `exec '${process.execPath}' '--import=${import.meta.resolve('tsx')}' '${entry}' "$@"`;
    await writeFile(file, `#!/bin/sh\n${command}\n`, { mode: 0o755 });
  }
  return said;
}
