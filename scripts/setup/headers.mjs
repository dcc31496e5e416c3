/** Where Node's native headers are: the running Node's own, else a pinned npm package. */
import { mkdir, realpath, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { discardDownload } from './downloads.mjs';
import { makeStaging, replaceFolder, statIfAny } from './files.mjs';
import { npmPack, packName } from './npm.mjs';
import { NODE_API_HEADERS } from './pins.mjs';
import { extractTarball } from './tar.mjs';

/** The places where an installed Node keeps its headers, likeliest first. */
export async function headerCandidates(env = process.env) {
  const executable = await realpath(process.execPath);
  const { nodedir, node_prefix: prefix } = process.config.variables;
  const roots = [dirname(dirname(executable)), nodedir, env.npm_config_nodedir, prefix];
  return roots.filter((root) => typeof root === 'string' && root !== '').map((root) => join(root, 'include', 'node'));
}

/**
 * @param {string} cache
 * @param {{signal?: AbortSignal}} options
 * @returns {Promise<string>} a folder with node_api.h
 */
export async function nodeHeaders(cache, { signal }) {
  for (const folder of await headerCandidates()) {
    if ((await statIfAny(join(folder, 'node_api.h'))) !== undefined) return folder;
  }
  const target = join(cache, 'headers', NODE_API_HEADERS.spec);
  const include = join(target, 'include');
  if ((await statIfAny(join(include, 'node_api.h'))) !== undefined) return include;
  const staging = await makeStaging(cache, 'headers');
  try {
    const tarball = await npmPack(NODE_API_HEADERS, staging, { cache, signal });
    const unpacked = join(staging, 'unpacked');
    await mkdir(unpacked);
    await extractTarball(tarball, unpacked, (path) => path.match(/^package\/(include\/[\w-]+\.h)$/)?.[1]);
    await replaceFolder(unpacked, target);
    await discardDownload(cache, packName(NODE_API_HEADERS));
    return include;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
