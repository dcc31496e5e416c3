/** Servers of tests, on a loopback port that is free. */
import type { Server as HttpServer } from 'node:http';
import type { Server } from 'node:net';
import type { ExecutionContext } from 'ava';

/** @returns its address as `http://127.0.0.1:PORT` */
export async function listenOnLoopback(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `http://127.0.0.1:${address.port}`;
}

/** The same until the test ends, and its connections with it. */
export async function serveOnLoopback(t: ExecutionContext, server: HttpServer): Promise<string> {
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return await listenOnLoopback(server);
}
