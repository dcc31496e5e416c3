/** A process of the step benchmark, asked one thing at a time. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { monotonicMs } from '../../lib/base/clock.ts';
import { describeError, StillhouseError } from '../../lib/base/errors.ts';
import type { Opened, PeerInfo, StepCase, StepRequest, StepTimes } from './protocol.ts';

/** Enough for the end of a Python traceback or of a stack. */
const LAST_LINES = 12;

export class Peer {
  readonly name: string;
  /** From the process's start to its first answer. */
  startMs = 0;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  /** What it has said last on standard error. */
  readonly #complaints: string[] = [];
  readonly #closed: Promise<unknown>;

  constructor(name: string, command: string, args: readonly string[]) {
    this.name = name;
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const { stdin, stdout, stderr } = this.#child;
    this.#lines = createInterface({ input: stdout as Readable })[Symbol.asyncIterator]();
    const complain = (line: string) => {
      this.#complaints.push(line);
      if (this.#complaints.length > LAST_LINES) this.#complaints.shift();
    };
    createInterface({ input: stderr as Readable }).on('line', complain);
    for (const end of [this.#child, stdin as Writable]) end.on('error', (error) => complain(describeError(error)));
    this.#closed = new Promise((resolve) => this.#child.once('close', resolve));
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
    return this.ask({ call: 'open', mode, ...stepCase } satisfies StepRequest);
  }

  async run(steps: number): Promise<readonly number[]> {
    return (await this.ask<StepTimes>({ call: 'run', steps } satisfies StepRequest)).ms;
  }

  info(): Promise<PeerInfo> {
    return this.ask({ call: 'info' } satisfies StepRequest);
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  stop(): void {
    this.#child.kill();
  }

  /** One request of this process and its answer, each a line of JSON. */
  async ask<T>(request: object): Promise<T> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) {
      await this.#closed;
      const said = this.#complaints.map((line) => `\n    ${line}`).join('');
      throw new StillhouseError('ABORTED', `${this.name} ended (exit code ${this.#child.exitCode})${said}`);
    }
    const reply = JSON.parse(value);
    if (typeof reply.error === 'string') throw new StillhouseError('INTERNAL', `${this.name}: ${reply.error}`);
    return reply;
  }
}
