/** A real nats-server with JetStream for tests, on a free loopback port, its data in a temporary folder. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findNatsServer as findFor } from '../../cli/cluster/nats-server.ts';
import { sleep } from '../../lib/base/clock.ts';

export interface NatsServer {
  readonly url: string;
  readonly pid: number;
  /** Ends the process; the data stay, so that `start` shows a restart. */
  kill(): Promise<void>;
  /** Starts again on the same port with the same data. */
  start(): Promise<void>;
  /** Ends the process and removes the data. */
  stop(): Promise<void>;
}

const START_LIMIT_MS = 10_000;
const POLL_MS = 20;

/** The one that the command line would take. */
export function findNatsServer(): string {
  return findFor(process.env);
}

export async function startNatsServer(): Promise<NatsServer> {
  const folder = mkdtempSync(join(tmpdir(), 'stillhouse-nats-'));
  let child: ChildProcess | undefined;
  // nats-server writes the ports that it chose into a file of this folder.
  const run = async (port: number) => {
    const portsFolder = mkdtempSync(join(folder, 'ports-'));
    const started = spawn(
      findNatsServer(),
      ['-js', '-sd', join(folder, 'data'), '-a', '127.0.0.1', '-p', String(port), '--ports_file_dir', portsFolder],
      { stdio: 'ignore' },
    );
    child = started;
    for (let waitedMs = 0; waitedMs < START_LIMIT_MS; waitedMs += POLL_MS) {
      const url = readPort(portsFolder);
      if (url !== undefined) return url;
      if (started.exitCode !== null) throw new Error(`nats-server ended with code ${started.exitCode}`);
      await sleep(POLL_MS);
    }
    throw new Error('nats-server did not start in time');
  };
  const kill = async () => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child?.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  };
  const url = await run(-1);
  return {
    url,
    get pid() {
      return child?.pid ?? 0;
    },
    kill,
    start: async () => void (await run(Number(new URL(url).port))),
    stop: async () => {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function readPort(folder: string): string | undefined {
  const file = readdirSync(folder)[0];
  if (file === undefined) return undefined;
  const text = readFileSync(join(folder, file), 'utf8');
  if (!text.trimEnd().endsWith('}')) return undefined;
  return (JSON.parse(text) as { nats?: string[] }).nats?.[0];
}
