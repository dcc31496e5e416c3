/** Zip archives, read into memory with every size bounded by the archive's own. */
import { crc32 } from 'node:zlib';
import { type Entry, fromBufferPromise, type ZipFile } from 'yauzl';
import { StillhouseError } from '../base/errors.ts';

/** An archive may unfold to so many times its size. Weights hardly shrink, and PyTorch stores them as they are. */
const EXPANSION_MAX = 2;
/** Compression method of entries that are not compressed. */
const STORED = 0;

/**
 * Reads all files of an archive. What is not compressed is a view into `bytes`.
 *
 * @param where names the archive in errors.
 * @returns the files by their full names
 * @throws StillhouseError INVALID_ARGUMENT for an archive that is damaged, cut off, encrypted, unfolds to far more than its
 *   size, leads out of its folder, or has a name twice.
 */
export async function readZip(bytes: Uint8Array, where: string): Promise<ReadonlyMap<string, Uint8Array>> {
  try {
    return await readFiles(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), where);
  } catch (cause) {
    if (cause instanceof StillhouseError) throw cause;
    throw refuse(where, `is not a sound zip archive: ${(cause as Error).message}`, cause);
  }
}

async function readFiles(archive: Buffer, where: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const zip = await fromBufferPromise(archive, { lazyEntries: true, strictFileNames: true });
  let total = 0;
  for await (const entry of zip.eachEntry()) {
    const name = entry.fileName;
    total += entry.uncompressedSize;
    if (total > EXPANSION_MAX * archive.length) {
      throw refuse(where, `unfolds to more than ${EXPANSION_MAX} times its size, at its file ${JSON.stringify(name)}`);
    }
    if (files.has(name)) throw refuse(where, `has the file ${JSON.stringify(name)} twice`);
    if (!entry.canDecodeFileData()) {
      throw refuse(where, `has the file ${JSON.stringify(name)} encrypted or compressed by an uncommon method`);
    }
    const content = await readEntry(zip, entry, archive);
    if (crc32(content) !== entry.crc32) throw refuse(where, `is damaged: ${JSON.stringify(name)} has another checksum`);
    files.set(name, content);
  }
  return files;
}

async function readEntry(zip: ZipFile, entry: Entry, archive: Buffer): Promise<Uint8Array> {
  if (entry.compressionMethod === STORED) {
    const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
    return new Uint8Array(archive.buffer, archive.byteOffset + fileDataStart, entry.uncompressedSize);
  }
  const chunks: Uint8Array[] = [];
  // The stream fails as soon as it gives more than the size that the directory names.
  for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

function refuse(where: string, problem: string, cause?: unknown): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `${where} ${problem}`, { field: where, cause });
}
