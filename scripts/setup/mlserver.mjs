/** MLServer with its runtime for scikit-learn, on which the tests have a teacher. Optional, as moto is. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SetupError } from './errors.mjs';
import { hashFile, makeStaging, readJsonIfAny, replaceFolder, writeJsonAtomically } from './files.mjs';
import { installRequirements } from './pip.mjs';
import { formatBytes } from './progress.mjs';
import { MLSERVER } from './test-tool-pins.mjs';
import { importFailure, pythonVersion, STAMP } from './tools.mjs';

/** Names every wheel by content, in pip's own notation. */
const REQUIREMENTS = join(import.meta.dirname, 'mlserver-requirements.txt');

/** A folder for PYTHONPATH. */
export function mlserverFolder(cache) {
  return join(cache, 'tools', 'mlserver', MLSERVER.version);
}

/** Whether it is there, for the Python of this machine. */
export async function mlserverReady(cache) {
  const stamp = await readJsonIfAny(join(mlserverFolder(cache), STAMP));
  return stamp !== undefined && JSON.stringify(stamp) === JSON.stringify(await stampHere());
}

/** Compiled parts are for one version of Python. */
async function stampHere(signal) {
  return { requirements: await hashFile(REQUIREMENTS), python: await pythonVersion({ signal }) };
}

/** Fetches it, and has Python import it once. */
export async function installMlserver(cache, { signal, progress, env = process.env }) {
  const stamp = await stampHere(signal);
  if (process.platform !== 'linux' || !MLSERVER.pythons.includes(stamp.python)) {
    const here = stamp.python === undefined ? 'python3 is missing' : `not pinned for Python ${stamp.python}`;
    throw new SetupError(`MLServer: ${here} on ${process.platform}-${process.arch}`);
  }
  await progress.step(`MLServer ${MLSERVER.version} (for the tests)`, async (update) => {
    const staging = await makeStaging(cache, 'mlserver');
    try {
      const folder = join(staging, 'packages');
      await mkdir(folder);
      update('pip install');
      await installRequirements(REQUIREMENTS, folder, { staging, name: 'MLServer', signal, env });
      // Python compiles what it imports, which is a part of it; the tests then start in seconds.
      const failure = await importFailure(folder, 'import mlserver.cli, mlserver_sklearn', signal, { compiles: true });
      if (failure !== undefined) throw new SetupError(`MLServer can't be imported (${failure})`);
      await writeJsonAtomically(join(folder, STAMP), stamp);
      await replaceFolder(folder, mlserverFolder(cache));
      return `${formatBytes(MLSERVER.bytes)} fetched`;
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  });
}
