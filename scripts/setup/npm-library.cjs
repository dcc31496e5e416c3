/**
 * An npm's settings and libraries, for what its commands don't do. Where packages come from, proxies, certificates and
 * credentials are the user's npm's to say, so they are taken as npm has read them.
 */
const { createRequire } = require('node:module');
const { join } = require('node:path');

/** The exit code of a program that could do nothing with this npm. */
const UNKNOWN_NPM = 3;

/**
 * @param {string} npmRoot npm's own folder
 * @param {readonly string[]} args of a command line
 * @returns {Promise<{options: object, pacote: object, cacache: object, fetch: Function} | undefined>} undefined when they are
 *   not where the npm of Node 20 and 22 has them
 */
async function loadNpm(npmRoot, args) {
  try {
    const load = createRequire(join(npmRoot, 'lib', 'npm.js'));
    const Npm = load('./npm.js');
    process.argv = [process.execPath, join(npmRoot, 'bin', 'npm-cli.js'), ...args];
    const npm = new Npm();
    await npm.load();
    const options = npm.flatOptions;
    const [pacote, fetch, cacache] = [load('pacote'), load('npm-registry-fetch'), load('cacache')];
    const isKnown = [pacote.resolve, pacote.tarball?.stream, cacache.put?.stream, cacache.get?.info, fetch].every(
      (member) => typeof member === 'function',
    );
    return isKnown && typeof options?.registry === 'string' ? { options, pacote, cacache, fetch } : undefined;
  } catch (error) {
    console.error(`npm error this npm can't be used as a library: ${error.message}`);
    return undefined;
  }
}

/** Runs `work` with them; what it throws is shown as npm shows it. */
async function withNpm(npmRoot, args, work) {
  const npm = await loadNpm(npmRoot, args);
  if (npm === undefined) {
    process.exitCode = UNKNOWN_NPM;
    return;
  }
  try {
    await work(npm);
  } catch (error) {
    console.error(`npm error code ${error.code ?? 'UNKNOWN'}\nnpm error ${error.message}`);
    process.exitCode = 1;
  }
}

module.exports = { withNpm };
