/** What a running cluster keeps in its object store. */
import { createLogger } from '../lib/base/log.ts';
import type { ObjectStore } from '../lib/checkpoint/store.ts';
import { connectNats } from '../lib/wire/nats.ts';

/**
 * @param nats the address of the server that has the objects
 * @throws UNAVAILABLE when the server cannot be reached; what `body` throws
 */
export async function withObjects<T>(
  nats: string,
  signal: AbortSignal,
  body: (objects: ObjectStore) => Promise<T>,
): Promise<T> {
  const logger = createLogger('objects', 'silent');
  const connection = await connectNats({ servers: nats, name: 'objects', logger, signal });
  try {
    return await body(await connection.objects());
  } finally {
    await connection.close();
  }
}
