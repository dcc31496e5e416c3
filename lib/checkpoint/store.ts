/** The store port: objects named by the digest of their content, never overwritten. */
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { digestHex, sha256 } from '../base/digest.ts';
import { StillhouseError } from '../base/errors.ts';
import { uniqueId } from '../base/random.ts';
import { writeDurably } from '../data/durable-file.ts';

export interface ObjectStore {
  /** Stores the bytes and answers their digest, `sha256:…`. Storing the same bytes again changes nothing. */
  put(bytes: Uint8Array): Promise<string>;
  /**
   * The bytes, checked against the digest.
   *
   * @throws StillhouseError NOT_FOUND when they are not there, DATA_LOSS when they have changed, INVALID_ARGUMENT when
   *   `digest` is not one.
   */
  get(digest: string): Promise<Uint8Array>;
  has(digest: string): Promise<boolean>;
}

/** A store that lives as long as the process. */
export function createMemoryStore(): ObjectStore {
  const objects = new Map<string, Uint8Array>();
  return {
    async put(bytes) {
      const digest = sha256(bytes);
      if (!objects.has(digest)) objects.set(digest, bytes.slice());
      return digest;
    },
    async get(digest) {
      digestHex(digest);
      const bytes = objects.get(digest);
      if (bytes === undefined) throw notFound(digest);
      return bytes.slice();
    },
    async has(digest) {
      digestHex(digest);
      return objects.has(digest);
    },
  };
}

/** A store in a folder, one file per object; several processes may share it. The folder is made when it is first needed. */
export function createFolderStore(folder: string): ObjectStore {
  const locate = (digest: string) => path.join(folder, digestHex(digest));
  const exists = async (location: string) => {
    try {
      return (await stat(location)).isFile();
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  };
  return {
    async put(bytes) {
      const digest = sha256(bytes);
      const location = locate(digest);
      if (await exists(location)) return digest;
      await mkdir(folder, { recursive: true });
      await writeWhole(location, bytes);
      return digest;
    },
    async get(digest) {
      const location = locate(digest);
      let bytes: Uint8Array;
      try {
        bytes = await readFile(location);
      } catch (error) {
        if (isMissing(error)) throw notFound(digest);
        throw error;
      }
      const actual = sha256(bytes);
      if (actual === digest) return bytes;
      throw new StillhouseError('DATA_LOSS', `${location} has digest ${actual}, expected ${digest}`, {
        field: location,
        hint: 'remove the file and store the object again',
      });
    },
    async has(digest) {
      return exists(locate(digest));
    },
  };
}

/** Under its name a file is complete or absent, also after a crash in the middle. */
async function writeWhole(location: string, bytes: Uint8Array): Promise<void> {
  const draft = `${location}.${uniqueId('draft')}`;
  try {
    await writeDurably(draft, bytes);
    await rename(draft, location);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

function notFound(digest: string): StillhouseError {
  return new StillhouseError('NOT_FOUND', `there is no object ${digest} in the store`);
}
