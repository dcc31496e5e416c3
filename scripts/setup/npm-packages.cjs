/**
 * Fetches packages into npm's cache, a few at a time: npm-packages.cjs PINS-FILE NPM-ROOT NPM-FLAG... with [{spec, integrity,
 * file?}] in the file. Each is kept as soon as it is whole; one with a `file` is there already and taken from it. Prints {"bytes"} as lines. Exit code 3: this npm is not one that it
 * knows; nothing was done.
 */
const { createReadStream, readFileSync, statSync } = require('node:fs');
const { pipeline } = require('node:stream/promises');
const { withNpm } = require('./npm-library.cjs');

const [pinsFile, npmRoot, ...flags] = process.argv.slice(2);
const AT_A_TIME = 6;

withNpm(npmRoot, ['ci', ...flags], async ({ options, pacote, cacache }) => {
  const left = JSON.parse(readFileSync(pinsFile, 'utf8'));
  let bytes = 0;
  const fetchOne = (pin, preferOffline) =>
    pacote.tarball.stream(
      pin.spec,
      (stream) => {
        stream.on('data', (chunk) => {
          bytes += chunk.length;
        });
        return stream.promise();
      },
      { ...options, preferOffline, integrity: pin.integrity },
    );
  const fetchNext = async () => {
    for (let pin = left.pop(); pin !== undefined; pin = left.pop()) {
      try {
        if (pin.file !== undefined) await takeIn(cacache, pin, await pacote.resolve(pin.spec, options), options.cache);
        await fetchOne(pin, true);
      } catch (error) {
        // What npm has cached of the package's versions may be older than this one.
        if (error.code !== 'ETARGET' && error.code !== 'ENOVERSIONS') throw error;
        await fetchOne(pin, false);
      }
    }
  };
  const timer = setInterval(() => console.log(JSON.stringify({ bytes })), 500);
  try {
    await Promise.all(Array.from({ length: AT_A_TIME }, fetchNext));
  } finally {
    clearInterval(timer);
  }
});

/** Puts a file where npm's HTTP cache has what it fetched. An npm that keeps it elsewhere fetches it once more. */
async function takeIn(cacache, { file, integrity }, url, cache) {
  const key = `make-fetch-happen:request-cache:${url}`;
  if ((await cacache.get.info(cache, key)) !== null) return;
  const resHeaders = { 'content-type': 'application/octet-stream', date: new Date().toUTCString() };
  const metadata = { time: Date.now(), url, reqHeaders: {}, resHeaders, options: { compress: true } };
  const target = cacache.put.stream(cache, key, { integrity, size: statSync(file).size, metadata });
  await pipeline(createReadStream(file), target);
}
