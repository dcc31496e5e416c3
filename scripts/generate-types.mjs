#!/usr/bin/env node
/**
 * Writes the TypeScript types of the protos into lib/wire/generated; `--check` writes them to a temporary folder instead
 * and fails when the committed ones differ. The options are those by which lib/wire/grpc-load.ts loads the protos at run time.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(fileURLToPath(import.meta.url), '../..');
const committed = join(root, 'lib/wire/generated');
const healthProtoRoot = join(root, 'node_modules/grpc-health-check/proto');

/** Relative paths of all files under `folder` whose names end so, sorted. */
function filesUnder(folder, ending) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

function generate(outDir) {
  const protos = [...filesUnder(join(root, 'proto'), '.proto'), 'health/v1/health.proto'];
  const generator = join(root, 'node_modules/@grpc/proto-loader/build/bin/proto-loader-gen-types.js');
  const options = [
    '--longs=Number',
    '--enums=String',
    '--defaults',
    '--oneofs',
    '--grpcLib=@grpc/grpc-js',
    '--targetFileExtension=.ts',
    '--importFileExtension=.ts',
    `--outDir=${outDir}`,
    '--includeDirs',
    join(root, 'proto'),
    healthProtoRoot,
  ];
  execFileSync(process.execPath, [generator, ...options, '--', ...protos], { stdio: ['ignore', 'ignore', 'inherit'] });
  // The generator names each source by its absolute path, which differs from checkout to checkout.
  for (const file of filesUnder(outDir, '.ts')) {
    const path = join(outDir, file);
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(`// Original file: ${root}/`, '// Original file: '));
  }
}

function differences(expectedDir, actualDir) {
  const expected = filesUnder(expectedDir, '.ts');
  const actual = filesUnder(actualDir, '.ts');
  const missing = expected.filter((file) => !actual.includes(file)).map((file) => `missing: ${file}`);
  const extra = actual.filter((file) => !expected.includes(file)).map((file) => `no longer generated: ${file}`);
  const changed = expected
    .filter((file) => actual.includes(file))
    .filter((file) => readFileSync(join(expectedDir, file), 'utf8') !== readFileSync(join(actualDir, file), 'utf8'))
    .map((file) => `differs: ${file}`);
  return [...missing, ...extra, ...changed];
}

if (process.argv.includes('--check')) {
  const temporary = mkdtempSync(join(tmpdir(), 'stillhouse-types-'));
  try {
    generate(temporary);
    const found = differences(temporary, committed);
    if (found.length > 0) {
      process.stderr.write(`lib/wire/generated is not current; run \`npm run types\`\n${found.join('\n')}\n`);
      process.exitCode = 1;
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
} else {
  rmSync(committed, { recursive: true, force: true });
  generate(committed);
}
