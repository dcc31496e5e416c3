/** TensorFlow's libraries and headers, taken out of its wheel into the cache. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cudaFolder, cudaReady, fetchCuda, missingCuda } from './cuda.mjs';
import { glibcVersion } from './dependencies.mjs';
import { discardDownload } from './downloads.mjs';
import { makeStaging, readJsonIfAny, replaceFolder, statIfAny, writeJsonAtomically } from './files.mjs';
import { chooseGpuHere } from './gpu.mjs';
import { isAtLeast } from './node-version.mjs';
import { TENSORFLOW_GPU_WHEELS, TENSORFLOW_VERSION, TENSORFLOW_WHEEL_PYTHON, TENSORFLOW_WHEELS } from './pins.mjs';
import { downloadWheel } from './pip.mjs';
import { formatBytes } from './progress.mjs';
import { requireSpace } from './space.mjs';
import { unzip } from './unzip.mjs';

const NEED_BYTES = 1.6e9;
const GPU_NEED_BYTES = 2.5e9;
const LIBRARIES = ['tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2'];
const GLIBC_MINIMUM = '2.27';

/**
 * The wheel for a platform, or why there is none.
 *
 * @param {{platform: string, arch: string, glibc: string | undefined, gpu?: boolean}} machine `gpu`: the build for NVIDIA
 *   GPUs, which `chooseGpu` has found to exist
 * @returns {{wheel: object, reason?: undefined} | {wheel?: undefined, reason: string}}
 */
export function tensorflowWheel({ platform, arch, glibc, gpu = false }) {
  const wheel = (gpu ? TENSORFLOW_GPU_WHEELS : TENSORFLOW_WHEELS)[`${platform}-${arch}`];
  if (wheel === undefined) return { reason: `there is no TensorFlow wheel for ${platform} on ${arch}` };
  if (glibc === undefined)
    return { reason: 'the TensorFlow wheel needs glibc, and this system has another C library (musl?)' };
  if (!isAtLeast(glibc, GLIBC_MINIMUM)) {
    return { reason: `the TensorFlow wheel needs glibc ${GLIBC_MINIMUM} or later, this system has ${glibc}` };
  }
  return { wheel: { ...wheel, python: TENSORFLOW_WHEEL_PYTHON, gpu } };
}

/** `tensorflowWheel` for the machine that we run on. */
export function tensorflowWheelHere() {
  const { gpu } = chooseGpuHere();
  return tensorflowWheel({ platform: process.platform, arch: process.arch, glibc: glibcVersion(), gpu });
}

/**
 * The folder of the libraries, `include/` among them. The GPU build's lies one level deeper: its run paths lead to
 * `../nvidia`, which belongs to this version of TensorFlow alone.
 */
export function tensorflowFolder(cache, wheel) {
  const name = `${TENSORFLOW_VERSION}-${process.platform}-${process.arch}`;
  return wheel.gpu ? join(cache, 'tensorflow', `${name}-gpu`, 'tensorflow') : join(cache, 'tensorflow', name);
}

/** Whether they are there, whole (by size) and from the pinned wheels. */
export async function tensorflowReady(cache, wheel) {
  const folder = tensorflowFolder(cache, wheel);
  if (!(await librariesReady(folder, wheel))) return false;
  return !wheel.gpu || cudaReady(cudaFolder(folder));
}

async function librariesReady(folder, wheel) {
  const stamp = await readJsonIfAny(join(folder, 'stamp.json'));
  if (stamp?.wheel !== wheel.sha256) return false;
  for (const [name, { bytes }] of Object.entries(stamp.files)) {
    if ((await statIfAny(join(folder, name)))?.size !== bytes) return false;
  }
  return (await statIfAny(join(folder, 'include', 'tensorflow', 'c', 'c_api.h'))) !== undefined;
}

/**
 * What `fetchTensorflow` would fetch.
 *
 * @returns {Promise<readonly object[]>} wheels
 */
export async function missingWheels(cache, wheel) {
  const folder = tensorflowFolder(cache, wheel);
  const libraries = (await librariesReady(folder, wheel)) ? [] : [wheel];
  return wheel.gpu ? [...libraries, ...(await missingCuda(cudaFolder(folder)))] : libraries;
}

/** Downloads and unzips what is missing of them. */
export async function fetchTensorflow(cache, wheel, context) {
  const folder = tensorflowFolder(cache, wheel);
  if (wheel.gpu) {
    const { reason } = chooseGpuHere();
    context.progress.say(`engine for NVIDIA GPUs, about 6 GB on disk: ${reason} (STILLHOUSE_GPU=off for the CPU's)`);
  }
  if (!(await librariesReady(folder, wheel))) await fetchLibraries(cache, folder, wheel, context);
  if (wheel.gpu) await fetchCuda(cache, cudaFolder(folder), context);
}

async function fetchLibraries(cache, folder, wheel, { signal, progress }) {
  await requireSpace(cache, wheel.gpu ? GPU_NEED_BYTES : NEED_BYTES, 'TensorFlow');
  await progress.step(`TensorFlow ${TENSORFLOW_VERSION}`, async (update) => {
    const staging = await makeStaging(cache, 'tensorflow');
    try {
      const downloads = join(staging, 'pip');
      await mkdir(downloads);
      const path = await downloadWheel(wheel, downloads, { cache, signal, update });
      await rm(downloads, { recursive: true });
      const onBytes = (written) => update('unzipping', written, wheel.keptBytes);
      onBytes(0);
      const members = [...LIBRARIES, 'tensorflow/include/'];
      const stamps = await unzip(path, staging, members, { signal, onBytes });
      const files = Object.fromEntries(
        Object.entries(stamps).map(([name, stamp]) => [name.slice('tensorflow/'.length), stamp]),
      );
      await writeJsonAtomically(join(staging, 'tensorflow', 'stamp.json'), { wheel: wheel.sha256, files });
      await replaceFolder(join(staging, 'tensorflow'), folder);
      await discardDownload(cache, wheel.sha256);
      const kept = Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0);
      return `${formatBytes(wheel.bytes)} fetched, ${formatBytes(kept)} of libraries kept`;
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  });
}
