/** Reads the labels of a data set: all of them, once, into memory. */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { CIFAR_RECORD_BYTES } from './cifar10.ts';
import type { LabelArray } from './dataset.ts';
import type { DatasetFile, OfficialManifest } from './manifest.ts';
import type { OpenFile, Place } from './places/place.ts';
import type { RecordFile } from './read-request.ts';
import { damagedFile, readFully } from './record-files.ts';
import { labelBytes, type ShardedManifest } from './sharded-manifest.ts';

/** Records per read while labels lie among pixels. */
const SCAN_RECORDS = 256;

/**
 * From the one file that an import writes.
 * @throws StillhouseError DATA_LOSS naming file and offset when a label is out of range; what `Place.openFile` throws
 */
export async function readLabels(manifest: ShardedManifest, place: Place): Promise<LabelArray> {
  const { labels: content, classNames } = manifest;
  const file = await place.openFile(content.path, content);
  const { location } = file;
  try {
    const records = manifest.shards.reduce((sum, shard) => sum + shard.records, 0);
    const bytes = new Uint8Array(content.bytes);
    await readFully(file.handle, { location, records, bytes: content.bytes }, 0, bytes);
    const size = labelBytes(classNames.length);
    const labels = size === 1 ? bytes : wideLabels(bytes);
    checkLabels(labels, classNames.length, (index) => [location, index * size]);
    return labels;
  } finally {
    await file.close();
  }
}

/** From little-endian pairs of bytes, whatever this machine's order. */
function wideLabels(bytes: Uint8Array): Uint16Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const labels = new Uint16Array(bytes.length / 2);
  for (let index = 0; index < labels.length; index++) labels[index] = view.getUint16(2 * index, true);
  return labels;
}

function checkLabels(labels: LabelArray, classes: number, whereOf: (index: number) => [string, number]): void {
  const wrong = labels.findIndex((label) => label >= classes);
  if (wrong < 0) return;
  const [location, offset] = whereOf(wrong);
  throw damagedFile(location, `has label ${labels[wrong]} at offset ${offset}, but there are only ${classes} classes`);
}

/**
 * From the first byte of every record of official files. They are read from beginning to end, so their content is compared with
 * their digests on the way.
 *
 * @param opened the files of the manifest, of the right sizes
 * @throws StillhouseError DATA_LOSS naming file and offset when a file has the wrong content, or a label is out of range
 */
export async function scanLabels(
  { files, classNames }: OfficialManifest,
  opened: readonly OpenFile[],
  verifyContent: boolean,
): Promise<Uint8Array> {
  const labels = new Uint8Array(files.reduce((sum, { records }) => sum + records, 0));
  let firstId = 0;
  for (const [index, { handle, location }] of opened.entries()) {
    const { records, bytes, sha256 } = files[index] as DatasetFile;
    const inFile = labels.subarray(firstId, firstId + records);
    await scanFile({ location, records, bytes }, handle, inFile, classNames.length, verifyContent ? sha256 : null);
    firstId += records;
  }
  return labels;
}

/** @param digest what the file's content is compared with; null: it is not */
async function scanFile(
  file: RecordFile,
  handle: FileHandle,
  labels: Uint8Array,
  classes: number,
  digest: string | null,
): Promise<void> {
  const hash = createHash('sha256');
  const buffer = new Uint8Array(SCAN_RECORDS * CIFAR_RECORD_BYTES);
  for (let record = 0; record < file.records; record += SCAN_RECORDS) {
    const records = Math.min(SCAN_RECORDS, file.records - record);
    const offset = record * CIFAR_RECORD_BYTES;
    const chunk = buffer.subarray(0, records * CIFAR_RECORD_BYTES);
    await readFully(handle, file, offset, chunk);
    for (let index = 0; index < records; index++) labels[record + index] = chunk[index * CIFAR_RECORD_BYTES] as number;
    const scanned = labels.subarray(record, record + records);
    checkLabels(scanned, classes, (index) => [file.location, offset + index * CIFAR_RECORD_BYTES]);
    if (digest !== null) hash.update(chunk);
  }
  const actual = digest === null ? null : hash.digest('hex');
  if (actual !== digest) throw damagedFile(file.location, `has SHA-256 ${actual}, expected ${digest}`);
}
