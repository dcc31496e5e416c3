/**
 * Downloads a package's tarball with an npm's settings, going on at the end of FILE:
 * npm-tarball.cjs FILE SPEC INTEGRITY NPM-ROOT NPM-FLAG... Exit code 3: this npm is not one that it knows; nothing was done.
 *
 * `npm pack` itself starts every download anew. What FILE holds needs no validator (RFC 9110, section 13): the caller pins
 * the whole by its hash.
 */
const { createWriteStream, existsSync, statSync, truncateSync } = require('node:fs');
const { pipeline } = require('node:stream/promises');
const { withNpm } = require('./npm-library.cjs');

const [file, spec, integrity, npmRoot, ...flags] = process.argv.slice(2);
/** After this much a connection that breaks counts as the first one again. */
const PROGRESS_BYTES = 2 ** 20;

withNpm(npmRoot, ['pack', spec, ...flags], async ({ options, pacote, cacache, fetch }) => {
  if (await cacache.get.hasContent(options.cache, integrity)) {
    await pipeline(cacache.get.stream.byDigest(options.cache, integrity), createWriteStream(file));
    return;
  }
  const url = await pacote.resolve(spec, options);
  let tries = 0;
  for (;;) {
    const before = heldBytes();
    try {
      await fetchRest(fetch, url, options, before);
      return;
    } catch (error) {
      tries = heldBytes() - before >= PROGRESS_BYTES ? 1 : tries + 1;
      // An answer is final; a connection that broke is not.
      const isFinal = typeof error.statusCode === 'number' || error.code === 'ENOSPC';
      if (isFinal || tries > (options.fetchRetries ?? 2)) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.min(1000 * 2 ** (tries - 1), 8000)));
    }
  }
});

/** Adds what FILE lacks; a server that knows no ranges has it start over. */
async function fetchRest(fetch, url, options, held) {
  const headers = held === 0 ? {} : { range: `bytes=${held}-` };
  // Not through npm's cache: what comes would wait there, and be lost with it.
  const response = await askFor(fetch, url, { ...options, cache: null, headers });
  if (response === undefined) return;
  const goesOn = response.status === 206 && (response.headers.get('content-range') ?? '').startsWith(`bytes ${held}-`);
  if (held > 0 && !goesOn) {
    truncateSync(file);
    if (response.status === 206) throw new Error(`the server does not go on at byte ${held}`);
  }
  const from = heldBytes();
  const expected = Number(response.headers.get('content-length') ?? Number.NaN);
  await pipeline(response.body, createWriteStream(file, { flags: 'a' }));
  if (heldBytes() - from < expected) throw new Error(`the connection ended after ${heldBytes()} bytes`);
}

/** The response; undefined when FILE has all of it already (RFC 9110, section 15.5.17). */
async function askFor(fetch, url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.statusCode !== 416) throw error;
    const [, total] = /^bytes \*\/(\d+)$/.exec(error.headers?.['content-range']?.[0] ?? '') ?? [];
    if (Number(total) === heldBytes()) return undefined;
    truncateSync(file);
    throw new Error('what was there is not of this tarball');
  }
}

function heldBytes() {
  return existsSync(file) ? statSync(file).size : 0;
}
