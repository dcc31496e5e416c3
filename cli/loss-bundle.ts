/** A loss of the user's own, from the file that a job names to the one text that travels with the job. */
import { stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, resolve } from 'node:path';
import type { BuildFailure, Message, Metafile, Plugin } from 'esbuild';
import { sha256 } from '../lib/base/digest.ts';
import { StillhouseError } from '../lib/base/errors.ts';
import type { LossModule } from '../lib/wire/job-spec.ts';
import { LOSS_SOURCE_BYTES_MAX } from '../lib/wire/loss-schema.ts';

/**
 * Bundles a TypeScript or JavaScript module and the files that it imports. The same files give the same digest, wherever
 * they lie. Nothing of it is run.
 * @param path of the module
 * @param field of the job file that named it, for messages
 * @throws NOT_FOUND without the file; INVALID_ARGUMENT when it cannot be bundled, imports a package, has no default export
 *   or is too large
 */
export async function bundleLoss(path: string, field: string): Promise<LossModule> {
  const isFile = await stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
  if (!isFile) {
    throw new StillhouseError('NOT_FOUND', `${field}: there is no file ${path}`, {
      field,
      hint: 'a relative path is meant from the folder of the job file',
    });
  }
  const name = basename(path);
  const { source, exports } = await build(resolve(path), field);
  if (!exports.includes('default')) {
    throw new StillhouseError('INVALID_ARGUMENT', `${field}: ${name} has no default export`, {
      field,
      hint: 'export default function loss({ tf, logits, teacherLogits, labels, temperature, parameters }) { … }',
    });
  }
  const bytes = Buffer.byteLength(source);
  if (bytes > LOSS_SOURCE_BYTES_MAX) {
    const message = `${field}: ${name} and what it imports are ${bytes} bytes, at most ${LOSS_SOURCE_BYTES_MAX} are allowed`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field, hint: 'hand tables over as parameters' });
  }
  return { digest: sha256(source), name, source };
}

async function build(path: string, field: string): Promise<{ source: string; exports: readonly string[] }> {
  // Only here: most commands never need it.
  const esbuild = await import('esbuild');
  try {
    const { outputFiles, metafile } = await esbuild.build({
      entryPoints: [path],
      // Comments name files relative to it.
      absWorkingDir: dirname(path),
      bundle: true,
      write: false,
      outdir: '/',
      metafile: true,
      format: 'esm',
      platform: 'neutral',
      target: 'node20',
      charset: 'utf8',
      legalComments: 'none',
      logLevel: 'silent',
      // The digest must not depend on settings that happen to lie around.
      tsconfigRaw: {},
      plugins: [ownFilesOnly],
    });
    return { source: (outputFiles[0] as { text: string }).text, exports: exportsOf(metafile) };
  } catch (error) {
    const lines = ((error as BuildFailure).errors ?? []).map(lineOf);
    const reason = lines.length === 0 ? String(error) : lines.join('\n  ');
    throw new StillhouseError('INVALID_ARGUMENT', `${field}: ${reason}`, { field, cause: error });
  } finally {
    await esbuild.stop();
  }
}

/** A package that is here may be missing or another on a worker, so none is reached for. */
const ownFilesOnly: Plugin = {
  name: 'own files only',
  setup: (build) => {
    build.onResolve({ filter: /.*/ }, ({ path, kind }) => {
      if (kind === 'entry-point' || path.startsWith('.') || isAbsolute(path)) return undefined;
      const text = `a loss cannot import "${path}": only its own files, by relative paths; types with "import type"`;
      return { errors: [{ text }] };
    });
  },
};

function exportsOf({ outputs }: Metafile): readonly string[] {
  return Object.values(outputs).flatMap((output) => output.exports);
}

function lineOf({ text, location }: Message): string {
  return location === null ? text : `${location.file}:${location.line}:${location.column + 1}: ${text}`;
}
