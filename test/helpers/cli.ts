/** Runs the command line as a real process, and finds every process that came from it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { sleep } from '../../lib/base/clock.ts';
import { uniqueId } from '../../lib/base/random.ts';

export interface CliResult {
  /** Null when a signal ended it that it did not handle. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunningCli {
  readonly process: ChildProcess;
  readonly ended: Promise<CliResult>;
  /** Command lines of all living processes that this one started, directly or not, itself included. */
  processes(): Promise<string[]>;
  /** Their process ids. */
  pids(): Promise<number[]>;
}

const ENTRY = fileURLToPath(new URL('cli-entry.ts', import.meta.url));
const POLL_MS = 25;

/** Inherited by all that it starts: by this they are found again. */
const MARK = 'STILLHOUSE_TEST_MARK';

/** Whatever is left of it when the test ends is killed. */
export function startCli(
  t: ExecutionContext,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): RunningCli {
  const mark = uniqueId('mark');
  const child = spawn(process.execPath, ['--import=tsx', ENTRY, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment, [MARK]: mark },
  });
  const output = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.err += text));
  const ended = new Promise<CliResult>((resolve) => child.once('close', (code) => resolve({ code, ...output })));
  t.teardown(async () => {
    for (const { pid } of await marked(mark)) process.kill(pid, 'SIGKILL');
  });
  return {
    process: child,
    ended,
    processes: async () => (await marked(mark)).map(({ command }) => command),
    pids: async () => (await marked(mark)).map(({ pid }) => pid),
  };
}

export function runCli(
  t: ExecutionContext,
  args: readonly string[],
  environment?: NodeJS.ProcessEnv,
): Promise<CliResult> {
  return startCli(t, args, environment).ended;
}

/** Waits until a process whose command line `matches` has come from `cli`; throws when `cli` ends before. */
export async function untilStarted(cli: RunningCli, matches: (command: string) => boolean): Promise<void> {
  await until(async () => cli.process.exitCode !== null || (await cli.processes()).some(matches));
  if (cli.process.exitCode !== null) throw new Error(`ended too early: ${(await cli.ended).err}`);
}

/** Polls until `condition` holds; the test's own timeout is the limit. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(POLL_MS);
}

/** Linux only: elsewhere it finds none. */
async function marked(mark: string): Promise<{ pid: number; command: string }[]> {
  if (process.platform !== 'linux') return [];
  const found: { pid: number; command: string }[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const environment = await readFile(`/proc/${entry}/environ`, 'utf8');
      if (!environment.includes(`${MARK}=${mark}`)) continue;
      const command = (await readFile(`/proc/${entry}/cmdline`, 'utf8')).replaceAll('\0', ' ').trim();
      found.push({ pid: Number(entry), command });
    } catch (error) {
      // Ended meanwhile, or another user's.
      if (!['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  return found;
}
