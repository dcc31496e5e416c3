/** Whether set-up takes the GPU build: by `STILLHOUSE_GPU` (on, off, auto), and in auto by the NVIDIA driver. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SetupError } from './errors.mjs';
import { isMissing } from './files.mjs';
import { isAtLeast } from './node-version.mjs';
import { NVIDIA_DRIVER_MINIMUM, TENSORFLOW_GPU_WHEELS } from './pins.mjs';

/** The kernel module says its version here; containers that are given a GPU see it too. */
const DRIVER_FILE = '/proc/driver/nvidia/version';

/** Where libcuda.so.1 is put by Debian, Red Hat, the container toolkit, Kubernetes' device plug-ins, and WSL. */
const LIBRARY_FOLDERS = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib64',
  '/usr/lib',
  '/usr/local/nvidia/lib64',
  '/usr/local/cuda/compat',
  '/usr/lib/wsl/lib',
];

/**
 * The NVIDIA driver of this machine.
 *
 * @param {{env?: NodeJS.ProcessEnv, root?: string}} [options] `root`: in place of `/`
 * @returns {{version: string | undefined, library: string | undefined} | undefined} its version where the kernel says it,
 *   and libcuda where it lies in a usual place; undefined without a driver
 */
export function findNvidiaDriver({ env = process.env, root = '/' } = {}) {
  const folders = [...(env.LD_LIBRARY_PATH ?? '').split(':').filter((folder) => folder !== ''), ...LIBRARY_FOLDERS];
  const library = folders.map((folder) => join(root, folder, 'libcuda.so.1')).find((path) => existsSync(path));
  const version = /Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s/.exec(readIfAny(join(root, DRIVER_FILE)) ?? '')?.[1];
  return library === undefined && version === undefined ? undefined : { version, library };
}

/**
 * The decision.
 *
 * @param {{mode: string | undefined, machine: string, driver: ReturnType<typeof findNvidiaDriver>}} facts `mode`: the
 *   setting; `machine`: `<platform>-<arch>`
 * @returns {{gpu: boolean, reason: string}} the reason is a sentence's end for people
 * @throws {SetupError} for another setting, and for `on` where there is no GPU build
 */
export function chooseGpu({ mode, machine, driver }) {
  const wanted = mode || 'auto';
  if (!['on', 'off', 'auto'].includes(wanted)) {
    throw new SetupError(`the environment variable STILLHOUSE_GPU is "${wanted}", expected one of on, off, auto`, {
      isFinal: true,
    });
  }
  if (wanted === 'off') return { gpu: false, reason: 'STILLHOUSE_GPU is off' };
  const isBuilt = TENSORFLOW_GPU_WHEELS[machine] !== undefined;
  if (wanted === 'on') {
    if (isBuilt) return { gpu: true, reason: 'STILLHOUSE_GPU is on' };
    throw new SetupError(`STILLHOUSE_GPU is on, but there is no GPU build of TensorFlow for ${machine}`, {
      hint: 'use Linux on x64, or unset it',
      isFinal: true,
    });
  }
  if (!isBuilt) return { gpu: false, reason: `there is no GPU build for ${machine}` };
  if (driver === undefined) return { gpu: false, reason: 'no NVIDIA driver was found' };
  if (driver.version !== undefined && !isAtLeast(driver.version, NVIDIA_DRIVER_MINIMUM)) {
    return { gpu: false, reason: `the NVIDIA driver ${driver.version} is older than ${NVIDIA_DRIVER_MINIMUM}` };
  }
  return { gpu: true, reason: `NVIDIA driver ${driver.version ?? '(version unknown)'} found` };
}

/** `chooseGpu` for the machine that we run on. */
export function chooseGpuHere(env = process.env) {
  const machine = `${process.platform}-${process.arch}`;
  return chooseGpu({ mode: env.STILLHOUSE_GPU, machine, driver: findNvidiaDriver({ env }) });
}

function readIfAny(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    // Some containers show the folder but not the file.
    if (isMissing(error) || error.code === 'EACCES') return undefined;
    throw error;
  }
}
