/** What set-up is going to do, told before it begins: sizes, and whether there is room for them. */
import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { folderBytes, statIfAny } from './files.mjs';
import { tilde } from './paths.mjs';
import { formatBytes } from './progress.mjs';
import { checkSpace } from './space.mjs';

/**
 * The parts with what they are and need.
 *
 * @param {readonly import('./parts.mjs').Part[]} parts
 * @returns {Promise<readonly {part: object, title: string, ready: boolean, detail?: string, path: string,
 *   fetchBytes: number, heldBytes: number, keptBytes: number}[]>} sizes of a part that is there are 0
 */
export async function lookAt(parts, context) {
  const rows = [];
  for (const part of parts) {
    const ready = await part.ready(context);
    const need = await part.need(context);
    const sizes = ready ? { path: need.path, fetchBytes: 0, heldBytes: 0, keptBytes: 0 } : need;
    rows.push({ part, title: part.title, ready, detail: ready ? await part.detail?.(context) : undefined, ...sizes });
  }
  return rows;
}

/** What there is to be done, as lines of a table; `freeBytes`: on the disk of the cache, undefined where unknown. Pure. */
export function planLines(rows, freeBytes) {
  const missing = rows.filter(({ ready }) => !ready);
  const total = (name) => missing.reduce((sum, row) => sum + row[name], 0);
  const width = Math.max(...missing.map(({ title }) => title.length), 'in all'.length);
  const line = (title, fetched, kept, rest = '') =>
    `${title.padEnd(width)}  ${fetched.padStart(9)}  ${kept.padStart(9)}${rest}`;
  return [
    line('', 'to fetch', 'on disk'),
    ...missing.map(({ title, fetchBytes, heldBytes, keptBytes }) => {
      const held = heldBytes === 0 ? '' : `  (${formatBytes(heldBytes)} are here already)`;
      return line(title, formatBytes(fetchBytes), formatBytes(keptBytes), held);
    }),
    line(
      'in all',
      formatBytes(total('fetchBytes')),
      formatBytes(total('keptBytes')),
      freeBytes === undefined ? '' : `  of ${formatBytes(freeBytes)} free`,
    ),
  ];
}

/** What the parts are, as lines for `--check`. */
export async function checkLines(rows) {
  const width = Math.max(...rows.map(({ title }) => title.length));
  const lines = [];
  for (const { title, ready, detail, path, fetchBytes, keptBytes } of rows) {
    const size = ready
      ? formatBytes(await bytesAt(path))
      : `${formatBytes(fetchBytes)} to fetch, ${formatBytes(keptBytes)} on disk`;
    const words = detail === undefined ? '' : `; ${detail}`;
    lines.push(`${ready ? 'there  ' : 'MISSING'}  ${title.padEnd(width)}  ${size}  ${tilde(path)}${words}`);
  }
  return lines;
}

/** The size of a file or folder; 0 of one that is not there. */
export async function bytesAt(path) {
  const info = await statIfAny(path);
  return info?.isDirectory() ? folderBytes(path) : (info?.size ?? 0);
}

/**
 * Checks the room on every file system that something will lie on: for what stays, and for the largest download twice
 * more, since the clients make copies of their own.
 *
 * @throws {import('./errors.mjs').SetupError}
 */
export async function requireRoom(rows, cache) {
  const missing = rows.filter(({ ready }) => !ready);
  const places = new Map();
  const add = async (path, bytes, title) => {
    const folder = await existingAbove(path);
    const { dev } = await stat(folder);
    const place = places.get(dev) ?? { folder, bytes: 0, titles: [] };
    places.set(dev, { folder, bytes: place.bytes + bytes, titles: [...place.titles, title] });
  };
  for (const { title, path, keptBytes } of missing) await add(path, keptBytes, title);
  const largestBytes = Math.max(...missing.map(({ fetchBytes, heldBytes }) => fetchBytes + heldBytes));
  await add(cache, 2 * largestBytes, 'the largest download');
  for (const { folder, bytes, titles } of places.values()) {
    const freeBytes = await freeAt(folder);
    if (freeBytes !== undefined) checkSpace(freeBytes, bytes, folder, titles.join(', '));
  }
}

/** What is free where a path is or will be; undefined where the file system does not say (some network and FUSE ones). */
export async function freeAt(path) {
  const { bavail, bsize, blocks } = await statfs(await existingAbove(path));
  return blocks > 0 ? bavail * bsize : undefined;
}

/** The nearest folder above that is there. */
async function existingAbove(path) {
  let folder = path;
  while ((await statIfAny(folder))?.isDirectory() !== true) folder = dirname(folder);
  return folder;
}
