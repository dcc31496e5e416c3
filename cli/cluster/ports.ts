/** Tries ports before anything is started, so that the one in the way is named once and nothing has to be undone. */
import { createServer } from 'node:net';
import { StillhouseError } from '../../lib/base/errors.ts';

/** UNAVAILABLE for the first port that cannot be bound on loopback. */
export async function checkPortsFree(ports: readonly { port: number; use: string }[]): Promise<void> {
  for (const { port, use } of ports) {
    const code = await tryPort(port);
    if (code === undefined) continue;
    const why = code === 'EADDRINUSE' ? 'is in use' : `cannot be used (${code})`;
    throw new StillhouseError('UNAVAILABLE', `port ${port} on 127.0.0.1 ${why}; it is wanted for ${use}`, {
      field: '--port-base',
      hint: 'choose another --port-base, or leave it out: free ports are taken then',
    });
  }
}

/** Resolves with the system's error code, or undefined when the port can be bound. */
function tryPort(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(undefined)));
  });
}
