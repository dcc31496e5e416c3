/** A plain HTTP download that goes on at its end. Check what it has become: nothing here looks at the content. */
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { downloadedBytes } from './downloads.mjs';
import { SetupError } from './errors.mjs';
import { sleep } from './process.mjs';

const TRIES = 3;
const CONNECT_MS = 20_000;
const PAUSE_MS = 1000;

/**
 * Downloads an address to a file, what the file holds already left out. A connection that breaks is tried again, as long as
 * each try gets a little further.
 *
 * @param {string} address
 * @param {string} file
 * @param {{signal?: AbortSignal}} options
 * @throws {SetupError}
 */
export async function downloadHttp(address, file, { signal } = {}) {
  let tries = 0;
  for (;;) {
    const heldBytes = await downloadedBytes(file);
    try {
      await fetchRest(address, file, heldBytes, signal);
      return;
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof SetupError) throw cause;
      tries = (await downloadedBytes(file)) > heldBytes ? 1 : tries + 1;
      if (tries >= TRIES) throw unreachable(address, cause);
      await sleep(PAUSE_MS, signal);
    }
  }
}

async function fetchRest(address, file, heldBytes, signal) {
  const headers = heldBytes === 0 ? {} : { range: `bytes=${heldBytes}-` };
  const response = await withinTime(signal, (both) => fetch(address, { headers, signal: both }));
  // There is nothing behind the end of what we have (RFC 9110, section 15.5.17).
  if (response.status === 416 && heldBytes > 0) {
    await response.body?.cancel();
    return;
  }
  if (!response.ok) {
    await response.body?.cancel();
    throw new SetupError(`${address} can't be had (HTTP ${response.status})`);
  }
  const flags = response.status === 206 ? 'a' : 'w';
  await pipeline(response.body, createWriteStream(file, { flags }), { signal });
}

/** Limits the wait for the answer, not for its body. */
async function withinTime(signal, work) {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(new Error(`no answer within ${CONNECT_MS / 1000} s`)), CONNECT_MS);
  try {
    return await work(signal === undefined ? timeout.signal : AbortSignal.any([signal, timeout.signal]));
  } finally {
    clearTimeout(timer);
  }
}

function unreachable(address, cause) {
  const reason = cause?.cause?.code ?? cause?.cause?.message ?? cause?.message ?? String(cause);
  return new SetupError(`${address} can't be reached (${reason})`, { cause });
}
