/** A file of a data set, read at any offset. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { damagedSource, refusedSource } from './source-options.ts';

export class SourceFile {
  /** Names the file in errors; for unpacked files, the packed one. */
  readonly location: string;
  readonly bytes: number;
  readonly #handle: FileHandle;

  private constructor(location: string, bytes: number, handle: FileHandle) {
    this.location = location;
    this.bytes = bytes;
    this.#handle = handle;
  }

  /**
   * @param namedAs what errors call it; default its path.
   * @throws StillhouseError FAILED_PRECONDITION when it is not there, may not be read or is no file.
   */
  static async open(path: string, namedAs = path): Promise<SourceFile> {
    let handle: FileHandle;
    try {
      // A pipe without a writer would wait for ever.
      handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (cause) {
      throw refusedSource(
        namedAs,
        `cannot be opened: ${(cause as Error).message}`,
        'put the file there, or let it be read',
        cause,
      );
    }
    try {
      const stat = await handle.stat();
      if (!stat.isFile()) throw refusedSource(namedAs, 'is not a file', 'put the file itself there');
      return new SourceFile(namedAs, stat.size, handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** @throws StillhouseError DATA_LOSS, naming the offset, when the file ends before. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await this.#handle.read(bytes, done, length - done, offset + done);
      if (bytesRead === 0) {
        throw damagedSource(
          this.location,
          `ends at offset ${offset + done}, expected ${length} bytes from offset ${offset}`,
        );
      }
      done += bytesRead;
    }
    return bytes;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
