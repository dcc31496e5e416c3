/** Reading .tar.gz files: plain ustar, which npm and the CIFAR-10 tarball are. */
import { createReadStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { SetupError } from './errors.mjs';

const BLOCK = 512;

/**
 * The regular files of a tarball, one after the other. `wanted` decides by path; the content of others is skipped.
 *
 * @param {string} path
 * @param {(name: string) => boolean} wanted
 * @yields {{name: string, content: Buffer}}
 */
export async function* readTarball(path, wanted) {
  const source = createReadStream(path, { highWaterMark: 1 << 20 });
  const gunzip = createGunzip({ chunkSize: 1 << 20 });
  source.on('error', (error) => gunzip.destroy(error));
  const bytes = new ByteReader(source.pipe(gunzip));
  try {
    for (;;) {
      const header = await bytes.take(BLOCK);
      if (header === undefined || header.every((byte) => byte === 0)) return;
      const { name, size, isFile } = parseHeader(header, path);
      const padded = Math.ceil(size / BLOCK) * BLOCK;
      if (!isFile || !wanted(name)) {
        await bytes.skip(padded);
        continue;
      }
      const content = await bytes.take(padded);
      if (content === undefined)
        throw new SetupError(`${path} ends in the middle of ${name}`, { hint: 'fetch it again' });
      yield { name, content: content.subarray(0, size) };
    }
  } catch (error) {
    if (!String(error?.code).startsWith('Z_')) throw error;
    throw new SetupError(`${path} is not a whole .tar.gz (${error.message})`, { hint: 'fetch it again', cause: error });
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

/** Writes the files for which `rename` gives a path below `target`. */
export async function extractTarball(path, target, rename) {
  for await (const { name, content } of readTarball(path, (file) => rename(file) !== undefined)) {
    const file = join(target, rename(name));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}

function parseHeader(header, path) {
  const text = (from, to) => header.toString('utf8', from, to).replace(/\0.*$/s, '');
  const size = Number.parseInt(text(124, 136).trim() || '0', 8);
  if (!Number.isInteger(size)) throw new SetupError(`${path} is not a tar file`, { hint: 'fetch it again' });
  const type = text(156, 157);
  const prefix = text(257, 263).startsWith('ustar') ? text(345, 500) : '';
  return {
    name: prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`,
    size,
    isFile: type === '' || type === '0',
  };
}

/** Takes exact numbers of bytes from a stream of chunks. */
class ByteReader {
  #chunks;
  #held = [];
  #heldBytes = 0;

  constructor(stream) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** The next `count` bytes; undefined when the stream ends before. */
  async take(count) {
    while (this.#heldBytes < count) {
      const { value, done } = await this.#chunks.next();
      if (done) return undefined;
      this.#held.push(value);
      this.#heldBytes += value.length;
    }
    const all = this.#held.length === 1 ? this.#held[0] : Buffer.concat(this.#held);
    this.#held = [all.subarray(count)];
    this.#heldBytes = all.length - count;
    return all.subarray(0, count);
  }

  async skip(count) {
    for (let left = count; left > 0; ) {
      const part = Math.min(left, 1 << 20);
      if ((await this.take(part)) === undefined) return;
      left -= part;
    }
  }
}
