/**
 * A child process of the local cluster. It leads its own process group, so that a terminal's Ctrl-C reaches only us and
 * we end it in order; its standard input is a pipe from us, whose end tells it that we are gone, however we died.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, withTimeout } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Environment } from '../../lib/base/settings.ts';
import { explainLog } from './child-log.ts';

export interface ChildSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Environment;
  /** Receives the child's standard error. */
  readonly logPath: string;
}

/** A JSON object with `ready: true`, as `announceReady` writes it. */
export type ReadyLine = Readonly<Record<string, unknown>>;

const living = new Set<Child>();

/** SIGKILL for every child that lives, and whatever is in its group; synchronous, for the last moment of the process. */
export function killAllChildren(): void {
  for (const child of living) child.killGroup();
}

export class Child {
  readonly spec: ChildSpec;
  /** How it ended, as words: `exit code 1`, `SIGKILL`, `spawn ENOENT`. Resolves once nothing of its group is left. */
  readonly ended: Promise<string>;
  readonly #process: ChildProcess;
  readonly #ready: Promise<ReadyLine>;
  #hasEnded = false;

  constructor(spec: ChildSpec) {
    this.spec = spec;
    const log = openSync(spec.logPath, 'a');
    try {
      this.#process = spawn(spec.command, spec.args, {
        detached: true,
        stdio: ['pipe', 'pipe', log],
        env: spec.environment as NodeJS.ProcessEnv,
      });
    } finally {
      closeSync(log);
    }
    living.add(this);
    this.ended = new Promise((resolve) => {
      this.#process.once('error', (error) => this.#onEnd(error.message, resolve));
      this.#process.once('exit', (code, signal) => this.#onEnd(signal ?? `exit code ${code}`, resolve));
    });
    // The pipe breaks when the child ends; `ended` tells that better.
    this.#process.stdin?.on('error', () => undefined);
    this.#ready = this.#readReadyLine();
    this.#ready.catch(() => undefined);
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** The ready line. Rejects with the reason when the child ends first or takes too long. */
  ready(limitMs: number): Promise<ReadyLine> {
    return withTimeout(this.#ready, limitMs, () => {
      const message = `${this.spec.name} was not ready after ${Math.round(limitMs / 1000)} s`;
      return new StillhouseError('DEADLINE_EXCEEDED', `${message}${explainLog(this.spec.logPath)}`);
    });
  }

  /** SIGTERM, then SIGKILL for the whole group after `limitMs`; returns when it has ended. */
  async stop(limitMs: number): Promise<void> {
    if (!this.#hasEnded) this.#process.kill('SIGTERM');
    const cancel = after(limitMs, () => this.killGroup());
    await this.ended;
    cancel();
  }

  killGroup(): void {
    const { pid } = this.#process;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch (error) {
      // No such group any more; EPERM is how macOS says it of one that is all zombies.
      if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }

  /** The error that tells how this child ended, what it said last, and where its log is. */
  failure(how: string): StillhouseError {
    const message = `${this.spec.name} ended unexpectedly (${how})${explainLog(this.spec.logPath)}`;
    return new StillhouseError('UNAVAILABLE', message);
  }

  #onEnd(how: string, resolve: (how: string) => void): void {
    // Its own children must not outlive it.
    this.killGroup();
    this.#hasEnded = true;
    living.delete(this);
    this.#process.stdin?.destroy();
    resolve(how);
  }

  #readReadyLine(): Promise<ReadyLine> {
    return new Promise((resolve, reject) => {
      const output = this.#process.stdout;
      if (output !== null) {
        // Read to the end, also after the ready line: a full pipe would stop the child.
        createInterface({ input: output }).on('line', (line) => {
          const fields = parseReady(line);
          if (fields !== undefined) resolve(fields);
        });
      }
      this.ended.then((how) => reject(this.failure(how)), reject);
    });
  }
}

function parseReady(line: string): ReadyLine | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const fields = JSON.parse(line) as Record<string, unknown>;
    return fields.ready === true ? fields : undefined;
  } catch {
    return undefined; // Not ours: a library that prints to standard output.
  }
}
