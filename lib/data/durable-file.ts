/** Writing files that survive a crash. */
import { open } from 'node:fs/promises';

/** Writes a new file and waits until it is on the disk. Rename it, or its folder, to where it belongs afterwards. */
export async function writeDurably(location: string, bytes: Uint8Array): Promise<void> {
  const file = await open(location, 'wx');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}
