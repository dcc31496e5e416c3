/** What tests do with a file that a place has opened. */
import { Buffer } from 'node:buffer';
import type { OpenFile } from '../../lib/data/places/place.ts';

/** All of it; closes it. */
export async function bytesOf(opening: Promise<Pick<OpenFile, 'handle' | 'close'>>): Promise<Buffer> {
  const { handle, close } = await opening;
  try {
    const { size } = await handle.stat();
    const bytes = Buffer.alloc(size);
    await handle.read(bytes, 0, size, 0);
    return bytes;
  } finally {
    await close();
  }
}
