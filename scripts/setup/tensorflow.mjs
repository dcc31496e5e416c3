/** TensorFlow's libraries and headers, taken out of its wheel into the cache. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { glibcVersion } from './dependencies.mjs';
import { makeStaging, readJsonIfAny, replaceFolder, statIfAny, writeJsonAtomically } from './files.mjs';
import { isAtLeast } from './node-version.mjs';
import { TENSORFLOW_VERSION, TENSORFLOW_WHEEL_PYTHON, TENSORFLOW_WHEELS } from './pins.mjs';
import { downloadWheel } from './pip.mjs';
import { formatBytes } from './progress.mjs';
import { requireSpace } from './space.mjs';
import { unzip } from './unzip.mjs';

const NEED_BYTES = 1.6e9;
const LIBRARIES = ['tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2'];
const GLIBC_MINIMUM = '2.27';

/**
 * The wheel for a platform, or why there is none.
 *
 * @param {{platform: string, arch: string, glibc: string | undefined}} machine
 * @returns {{wheel: object, reason?: undefined} | {wheel?: undefined, reason: string}}
 */
export function tensorflowWheel({ platform, arch, glibc }) {
  const wheel = TENSORFLOW_WHEELS[`${platform}-${arch}`];
  if (wheel === undefined) return { reason: `there is no TensorFlow wheel for ${platform} on ${arch}` };
  if (glibc === undefined)
    return { reason: 'the TensorFlow wheel needs glibc, and this system has another C library (musl?)' };
  if (!isAtLeast(glibc, GLIBC_MINIMUM)) {
    return { reason: `the TensorFlow wheel needs glibc ${GLIBC_MINIMUM} or later, this system has ${glibc}` };
  }
  return { wheel: { ...wheel, python: TENSORFLOW_WHEEL_PYTHON } };
}

/** `tensorflowWheel` for the machine that we run on. */
export function tensorflowWheelHere() {
  return tensorflowWheel({ platform: process.platform, arch: process.arch, glibc: glibcVersion() });
}

/** The folder of the libraries, `include/` among them. */
export function tensorflowFolder(cache) {
  return join(cache, 'tensorflow', `${TENSORFLOW_VERSION}-${process.platform}-${process.arch}`);
}

/** Whether they are there, whole (by size) and from the pinned wheel. */
export async function tensorflowReady(cache, wheel) {
  const folder = tensorflowFolder(cache);
  const stamp = await readJsonIfAny(join(folder, 'stamp.json'));
  if (stamp?.wheel !== wheel.sha256) return false;
  for (const [name, { bytes }] of Object.entries(stamp.files)) {
    if ((await statIfAny(join(folder, name)))?.size !== bytes) return false;
  }
  return (await statIfAny(join(folder, 'include', 'tensorflow', 'c', 'c_api.h'))) !== undefined;
}

/** Downloads and unzips them. */
export async function fetchTensorflow(cache, wheel, { signal, progress }) {
  await requireSpace(cache, NEED_BYTES, 'TensorFlow');
  await progress.step(`TensorFlow ${TENSORFLOW_VERSION}`, async (update) => {
    const staging = await makeStaging(cache, 'tensorflow');
    try {
      const downloads = join(staging, 'pip');
      await mkdir(downloads);
      const path = await downloadWheel(wheel, downloads, { signal, update });
      update('unzipping', 0);
      const onBytes = (written) => update('unzipping', written);
      const members = [...LIBRARIES, 'tensorflow/include/'];
      const stamps = await unzip(path, staging, members, { signal, onBytes });
      await rm(downloads, { recursive: true });
      const files = Object.fromEntries(
        Object.entries(stamps).map(([name, stamp]) => [name.slice('tensorflow/'.length), stamp]),
      );
      await writeJsonAtomically(join(staging, 'tensorflow', 'stamp.json'), { wheel: wheel.sha256, files });
      await replaceFolder(join(staging, 'tensorflow'), tensorflowFolder(cache));
      const kept = Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0);
      return `${formatBytes(wheel.bytes)} fetched, ${formatBytes(kept)} of libraries kept`;
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  });
}
