/** A student's end of a logits stream as plain as can be: every message as the test wants it, every reply as it came. */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { StillhouseError } from '../../lib/base/errors.ts';
import type { LabelBatch } from '../../lib/wire/generated/stillhouse/v1/LabelBatch.ts';
import type { Load__Output } from '../../lib/wire/generated/stillhouse/v1/Load.ts';
import type { LogitsReply__Output } from '../../lib/wire/generated/stillhouse/v1/LogitsReply.ts';
import type { LogitsRequest } from '../../lib/wire/generated/stillhouse/v1/LogitsRequest.ts';
import type { Open } from '../../lib/wire/generated/stillhouse/v1/Open.ts';
import type { Opened__Output } from '../../lib/wire/generated/stillhouse/v1/Opened.ts';
import { dial, fromStatus, type RpcClient } from '../../lib/wire/grpc.ts';

export class LogitsClient {
  /** Resolves with what ended the stream; null: the teacher ended it in order. */
  readonly ended: Promise<StillhouseError | null>;
  readonly loads: Load__Output[] = [];
  /** Steps of batches that had to wait, in the order in which that was told; and in which their turns came. */
  readonly waited: (number | undefined)[] = [];
  readonly begun: (number | undefined)[] = [];
  readonly #client: RpcClient<'Teacher'>;
  readonly #call: ClientDuplexStream<LogitsRequest, LogitsReply__Output>;
  readonly #replies: LogitsReply__Output[] = [];
  readonly #waiting: ((reply: LogitsReply__Output) => void)[] = [];

  constructor(address: string) {
    this.#client = dial('Teacher', address);
    this.#call = this.#client.streamLogits();
    this.#call.on('data', (reply: LogitsReply__Output) => {
      if (reply.load) this.loads.push(reply.load);
      else if (reply.waiting) this.waited.push(reply.waiting.key?.step);
      else if (reply.begun) this.begun.push(reply.begun.key?.step);
      else this.#take(reply);
    });
    this.ended = new Promise((resolve) => {
      this.#call.on('error', (error) => resolve(fromStatus(error, 'the teacher')));
      this.#call.on('end', () => resolve(null));
    });
  }

  send(message: LogitsRequest): void {
    this.#call.write(message);
  }

  /** The next answer or refusal. Rejects when the stream ends before. */
  next(): Promise<LogitsReply__Output> {
    const reply = this.#replies.shift();
    if (reply !== undefined) return Promise.resolve(reply);
    const coming = new Promise<LogitsReply__Output>((resolve) => this.#waiting.push(resolve));
    const ended = this.ended.then((error) => Promise.reject(error ?? new Error('the stream has ended')));
    return Promise.race([coming, ended]);
  }

  async open(open: Open): Promise<Opened__Output> {
    this.send({ open });
    return (await this.next()).opened as Opened__Output;
  }

  /** Sends a batch and answers the next reply. */
  ask(batch: LabelBatch): Promise<LogitsReply__Output> {
    this.send({ batch });
    return this.next();
  }

  /** Reads nothing until `resume`. */
  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }

  /** Nothing more will be asked. */
  end(): void {
    this.#call.end();
  }

  /** Nothing more is read either, and nobody is told. */
  cut(): void {
    this.#call.cancel();
  }

  close(): void {
    this.#call.cancel();
    this.#client.close();
  }

  #take(reply: LogitsReply__Output): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#replies.push(reply);
    else waiting(reply);
  }
}
