/** Which files a model of another framework consists of. */
import { opendir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { StillhouseError } from '../../base/errors.ts';
import { checkDocument, decodeUtf8, parseJson } from '../../data/json-document.ts';
import { externalDataFiles } from '../../engine/onnx-external-data.ts';
import type { FileSource } from '../job-spec.ts';

export interface SourceFile {
  /** Within the model's folder, with slashes. */
  readonly path: string;
  /** On this machine's disk. */
  readonly location: string;
}

export interface SourceFiles {
  /** What a framework opens: one of the files, or `.` for their folder. */
  readonly entry: string;
  readonly files: readonly SourceFile[];
}

/** Of all files together: what is stored passes through the memory of the coordinator and of every teacher-worker. */
const BYTES_MAX = 2 ** 31 - 1;
const FILES_MAX = 4096;

/** Whether a path from the folder stays in it, on any system. */
export function isInside(file: string): boolean {
  return !/[\\:]/.test(file) && file.split('/').every((part) => !/^\.{0,2}$/.test(part));
}

/**
 * @throws NOT_FOUND when a file of the model is not there; INVALID_ARGUMENT when it is none of that format, names files outside its
 *   folder, or is too large
 */
export async function listSourceFiles({
  type,
  path: location,
}: Pick<FileSource, 'type' | 'path'>): Promise<SourceFiles> {
  try {
    const found = await listers[type](location);
    await requireBounds(location, found.files);
    return found;
  } catch (cause) {
    if (cause instanceof StillhouseError) throw cause;
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    const reason = isMissing ? 'there is no such file' : (cause as Error).message;
    const place = (cause as NodeJS.ErrnoException).path ?? location;
    throw new StillhouseError('NOT_FOUND', `cannot read ${place}: ${reason}`, { field: place, cause });
  }
}

const listers: Readonly<Record<FileSource['type'], (location: string) => Promise<SourceFiles>>> = {
  onnx: async (location) => besides(location, externalDataFiles(await readBounded(location), location)),
  tfjs: async (location) => besides(location, await weightFiles(location)),
  'saved-model': async (folder) => {
    const files = [{ path: 'saved_model.pb', location: path.join(folder, 'saved_model.pb') }];
    // What a program may have put beside them is nothing that computes.
    for (const part of ['variables', 'assets']) files.push(...(await filesBelow(folder, part)));
    return { entry: '.', files };
  },
};

function besides(location: string, others: readonly string[]): SourceFiles {
  const folder = path.dirname(location);
  const entry = path.basename(location);
  const outside = others.find((file) => !isInside(file));
  if (outside !== undefined) {
    const message = `${location} has weights in ${outside}, which is not in its folder`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: location });
  }
  const files = [entry, ...new Set(others)].map((file) => ({ path: file, location: path.join(folder, file) }));
  return { entry, files };
}

const tfjsModel = z.looseObject({
  modelTopology: z.looseObject({}, 'expected the topology of a TensorFlow.js model'),
  weightsManifest: z.array(z.looseObject({ paths: z.array(z.string()) })).default([]),
});

async function weightFiles(location: string): Promise<string[]> {
  const json = parseJson(decodeUtf8(await readBounded(location), location), location);
  return checkDocument(json, tfjsModel, location).weightsManifest.flatMap(({ paths }) => paths);
}

async function filesBelow(folder: string, part: string): Promise<SourceFile[]> {
  const found: SourceFile[] = [];
  const entries = await opendir(path.join(folder, part), { recursive: true }).catch((error) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  for await (const entry of entries) {
    if (!entry.isFile()) continue;
    const location = path.join(entry.parentPath, entry.name);
    found.push({ path: path.relative(folder, location).split(path.sep).join('/'), location });
    // More are refused, however many there are.
    if (found.length > FILES_MAX) break;
  }
  return found.sort((one, other) => (one.path < other.path ? -1 : 1));
}

/** Of a model's own file, once it is known to be one that may be stored. */
async function readBounded(location: string): Promise<Buffer> {
  await requireBounds(location, [{ path: '.', location }]);
  return readFile(location);
}

async function requireBounds(location: string, files: readonly SourceFile[]): Promise<void> {
  let bytes = 0;
  for (const file of files) {
    const stats = await stat(file.location);
    if (!stats.isFile()) throw new StillhouseError('INVALID_ARGUMENT', `${file.location} is not a file`);
    bytes += stats.size;
  }
  if (bytes <= BYTES_MAX && files.length <= FILES_MAX) return;
  const message = `${location} has ${files.length} files of ${bytes} bytes, at most ${FILES_MAX} and ${BYTES_MAX} are stored`;
  throw new StillhouseError('INVALID_ARGUMENT', message, {
    field: location,
    hint: 'let a server of the Open Inference Protocol serve it, and name that as an endpoint',
  });
}
