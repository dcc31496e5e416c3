/** What lies below a folder, in a fixed order. Links are followed within the folder; every folder is entered once. */
import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { refusedSource } from './source-options.ts';

export interface WalkedFolder {
  /** As the user reaches it. */
  readonly location: string;
  /** The same without links. */
  readonly real: string;
}

export interface Listing {
  /** By name. */
  readonly folders: ReadonlyMap<string, WalkedFolder>;
  /** Names. */
  readonly files: readonly string[];
}

/** By code point, as Python sorts. */
export function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

export class FolderWalk {
  readonly root: WalkedFolder;
  /** By real path: how each folder was reached first. */
  readonly #entered = new Map<string, string>();

  private constructor(root: WalkedFolder) {
    this.root = root;
    this.#entered.set(root.real, root.location);
  }

  /** @throws StillhouseError FAILED_PRECONDITION when the folder is not there. */
  static async start(location: string): Promise<FolderWalk> {
    return new FolderWalk({
      location,
      real: await realpath(location).catch((cause) => Promise.reject(unread(location, cause))),
    });
  }

  /**
   * What is in a folder, sorted, without hidden entries.
   * @throws StillhouseError FAILED_PRECONDITION for a folder that cannot be read, a link that points nowhere, in a circle or out
   *   of the root, and two ways into one folder.
   */
  async list(folder: WalkedFolder): Promise<Listing> {
    let entries: Dirent[];
    try {
      entries = await readdir(folder.location, { withFileTypes: true });
    } catch (cause) {
      throw unread(folder.location, cause);
    }
    const folders = new Map<string, WalkedFolder>();
    const files: string[] = [];
    for (const entry of entries.sort((a, b) => byCodePoint(a.name, b.name))) {
      if (entry.name.startsWith('.')) continue;
      const location = path.join(folder.location, entry.name);
      const real = entry.isSymbolicLink() ? await this.#target(location) : path.join(folder.real, entry.name);
      const isFolder = entry.isSymbolicLink() ? (await stat(real)).isDirectory() : entry.isDirectory();
      if (!isFolder) files.push(entry.name);
      else folders.set(entry.name, this.#enter({ location, real }, folder));
    }
    return { folders, files };
  }

  async #target(link: string): Promise<string> {
    let real: string;
    try {
      real = await realpath(link);
    } catch (cause) {
      const what = (cause as NodeJS.ErrnoException).code === 'ELOOP' ? 'goes in a circle' : 'points nowhere';
      throw refusedSource(link, `is a symbolic link that ${what}`, 'remove the link, or put the files there', cause);
    }
    if (isWithin(this.root.real, real)) return real;
    throw refusedSource(
      link,
      `is a symbolic link out of the data set's folder, to ${real}`,
      'put the files themselves, or hard links, there',
    );
  }

  #enter(folder: WalkedFolder, parent: WalkedFolder): WalkedFolder {
    const before = this.#entered.get(folder.real);
    if (before === undefined) {
      this.#entered.set(folder.real, folder.location);
      return folder;
    }
    const isLoop = isWithin(folder.real, parent.real);
    throw refusedSource(
      folder.location,
      isLoop ? `is a symbolic link back to ${before}, which it lies in: a loop` : `and ${before} are the same folder`,
      'remove the link',
    );
  }
}

function isWithin(folder: string, location: string): boolean {
  return location === folder || location.startsWith(folder.endsWith(path.sep) ? folder : folder + path.sep);
}

function unread(location: string, cause: unknown) {
  return refusedSource(location, `cannot be read: ${(cause as Error).message}`, 'let the folder be read', cause);
}
