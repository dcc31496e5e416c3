/** A process of the step benchmark, asked one thing at a time. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { monotonicMs } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Opened, PeerInfo, StepCase, StepRequest, StepTimes } from './protocol.ts';

export class Peer {
  readonly name: string;
  /** From the process's start to its first answer. */
  startMs = 0;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(name: string, command: string, args: readonly string[]) {
    this.name = name;
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  }

  /** Starts the process and waits until its library is loaded. */
  static async start(name: string, command: string, args: readonly string[]): Promise<Peer> {
    const startedMs = monotonicMs();
    const peer = new Peer(name, command, args);
    await peer.info();
    peer.startMs = monotonicMs() - startedMs;
    return peer;
  }

  open(stepCase: StepCase, mode: string): Promise<Opened> {
    return this.#ask({ call: 'open', mode, ...stepCase });
  }

  async run(steps: number): Promise<readonly number[]> {
    return (await this.#ask<StepTimes>({ call: 'run', steps })).ms;
  }

  info(): Promise<PeerInfo> {
    return this.#ask({ call: 'info' });
  }

  stop(): void {
    this.#child.kill();
  }

  async #ask<T>(request: StepRequest): Promise<T> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new StillhouseError('ABORTED', `${this.name} ended (exit code ${this.#child.exitCode})`);
    const reply = JSON.parse(value);
    if (typeof reply.error === 'string') throw new StillhouseError('INTERNAL', `${this.name}: ${reply.error}`);
    return reply;
  }
}
