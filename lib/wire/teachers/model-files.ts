/**
 * The files of a teacher in the object store: one object each, and one that lists them, by whose digest the job names the teacher.
 * A worker puts them into a folder of its own, once.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { digestHex } from '../../base/digest.ts';
import { StillhouseError } from '../../base/errors.ts';
import { uniqueId } from '../../base/random.ts';
import type { ObjectStore } from '../../checkpoint/store.ts';
import { canonicalJson } from '../../data/canonical-json.ts';
import { writeDurably } from '../../data/durable-file.ts';
import { decodeUtf8, digestSchema, parseJsonDocument } from '../../data/json-document.ts';
import { fileSha256 } from '../../data/places/regular-file.ts';
import { isInside, type SourceFiles } from './source-files.ts';

interface FileList {
  readonly formatVersion: 1;
  /** What a framework opens: of the files, or `.` for their folder. */
  readonly entry: string;
  /** By path within the folder, with slashes. */
  readonly files: readonly { readonly path: string; readonly digest: string; readonly bytes: number }[];
}

const fileList: z.ZodType<FileList> = z.strictObject({
  formatVersion: z.literal(1),
  entry: z.string().refine((entry) => entry === '.' || isInside(entry)),
  files: z.array(
    z.strictObject({
      path: z.string().refine(isInside, 'expected a path within the folder'),
      digest: digestSchema,
      bytes: z.int().min(0),
    }),
  ),
});

/** Stores the files, and answers the digest that names them together. */
export async function storeModelFiles(objects: ObjectStore, { entry, files }: SourceFiles): Promise<string> {
  const listed: { path: string; digest: string; bytes: number }[] = [];
  for (const { path: name, location } of files) {
    const bytes = await readFile(location);
    listed.push({ path: name, digest: await objects.put(bytes), bytes: bytes.byteLength });
  }
  const list: FileList = { formatVersion: 1, entry, files: listed };
  return objects.put(new TextEncoder().encode(canonicalJson(list)));
}

/**
 * The place of the entry on this machine's disk, where the files are put unless they are there already. The folder appears whole or
 * not at all, and several processes may share it.
 * @param folder of all teachers
 * @throws NOT_FOUND and DATA_LOSS as the store does
 */
export async function materialise(objects: ObjectStore, digest: string, folder: string): Promise<string> {
  const list = parseJsonDocument(decodeUtf8(await objects.get(digest), digest), fileList, `the files ${digest}`);
  const target = path.join(folder, digestHex(digest));
  const entry = path.join(target, list.entry);
  if (await isWhole(target, list)) return entry;
  const draft = `${target}.${uniqueId('draft')}`;
  try {
    for (const file of list.files) {
      const place = path.join(draft, file.path);
      await mkdir(path.dirname(place), { recursive: true });
      await writeDurably(place, await objects.get(file.digest));
    }
    await putInPlace(draft, target, list);
  } catch (cause) {
    // Another process may have been quicker.
    if (!(await isWhole(target, list))) throw unwritable(target, cause);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return entry;
}

/** What another process has put there meanwhile stays: whoever asked it for the files uses them. */
async function putInPlace(draft: string, target: string, list: FileList): Promise<void> {
  if (await isWhole(target, list)) return;
  const aside = `${target}.${uniqueId('damaged')}`;
  try {
    if (existsSync(target)) await rename(target, aside);
    await rename(draft, target);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

/** Whether all files are there with the content that belongs to them. */
async function isWhole(target: string, { files }: FileList): Promise<boolean> {
  for (const { path: name, digest } of files) {
    const place = path.join(target, name);
    if (!existsSync(place) || (await fileSha256(place)) !== digestHex(digest)) return false;
  }
  return true;
}

function unwritable(target: string, cause: unknown): StillhouseError {
  if (cause instanceof StillhouseError) return cause;
  const message = `cannot write the teacher's files to ${target}: ${(cause as Error).message}`;
  return new StillhouseError('FAILED_PRECONDITION', message, { field: target, cause });
}
