/**
 * What only the tests need: TensorBoard's own reader of event files, and grpcurl. grpcurl is optional: without Go set-up
 * says so, and the tests that would use it say it too.
 */
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { discardDownload } from './downloads.mjs';
import { SetupError } from './errors.mjs';
import { findOnPath, makeStaging, readJsonIfAny, replaceFolder, statIfAny, writeJsonAtomically } from './files.mjs';
import { GRPCURL, TENSORBOARD } from './pins.mjs';
import { downloadWheel } from './pip.mjs';
import { lastLine, run } from './process.mjs';
import { formatBytes } from './progress.mjs';
import { unzip } from './unzip.mjs';

const STAMP = 'stillhouse.json';

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
  await progress.step("TensorBoard's reader (for the tests)", async (update) => {
    const staging = await makeStaging(cache, 'tensorboard');
    try {
      const unpacked = join(staging, 'unpacked');
      await mkdir(unpacked);
      for (const [index, wheel] of wheels.entries()) {
        const downloads = join(staging, `pip-${index}`);
        await mkdir(downloads);
        const path = await downloadWheel(wheel, downloads, { cache, signal, update, env });
        await unzip(path, unpacked, wheel.keep, { signal });
      }
      await requireReader(unpacked, { signal });
      await writeJsonAtomically(join(unpacked, STAMP), { wheels: wheels.map(({ sha256 }) => sha256) });
      await replaceFolder(unpacked, tensorboardFolder(cache));
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
  const machine = process.arch === 'x64' ? 'x86_64' : 'aarch64';
  const platform = python === '3.14' ? 'manylinux_2_28' : 'manylinux_2_17';
  return [...TENSORBOARD.wheels, { ...numpy, pipPlatform: `${platform}_${machine}`, python }];
}

function pinnedPythons() {
  return Object.keys(TENSORBOARD.numpy)
    .filter((key) => key.endsWith(`-${process.arch}`))
    .map((key) => key.slice(0, key.indexOf('-')));
}

async function requireReader(folder, { signal }) {
  const program = 'from tensorboard.backend.event_processing.event_accumulator import EventAccumulator';
  const env = { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' };
  const { code, output } = await run('python3', ['-s', '-c', program], { signal, env });
  if (code !== 0) throw new SetupError(`TensorBoard's reader can't be imported (${lastLine(output)})`);
}

/** `3.11`; undefined without a Python. */
async function pythonVersion({ signal } = {}) {
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
