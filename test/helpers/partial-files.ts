import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { until } from './cli.ts';

/**
 * Waits until so many bytes of a file that is being fetched are in the folder, where its name ends in `.part` or `.partial`. Of
 * what a server has sent, a client may lose all that it had not written yet when the connection broke.
 */
export async function untilWritten(folder: string, bytes: number): Promise<void> {
  await until(async () => {
    const partials = (await readdir(folder)).filter((name) => /\.part(ial)?$/.test(name));
    const sizes = await Promise.all(partials.map(async (name) => (await stat(path.join(folder, name))).size));
    return sizes.some((size) => size >= bytes);
  });
}
