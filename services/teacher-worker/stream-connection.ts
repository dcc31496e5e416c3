/** A logits stream as gRPC has it: messages in, replies out at the pace at which the student reads them, one end. */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { StillhouseError } from '../../lib/base/errors.ts';
import { VIEW_PROTOCOL } from '../../lib/data/views.ts';
import type { Load } from '../../lib/wire/generated/stillhouse/v1/Load.ts';
import type { LogitsReply } from '../../lib/wire/generated/stillhouse/v1/LogitsReply.ts';
import type { LogitsRequest__Output } from '../../lib/wire/generated/stillhouse/v1/LogitsRequest.ts';
import type { Open__Output } from '../../lib/wire/generated/stillhouse/v1/Open.ts';
import type { StreamEnd, StudentStream } from './student-stream.ts';

export interface ConnectionHost {
  /** @throws what makes the stream one that cannot be served */
  readonly open: (message: Open__Output, end: StreamEnd) => StudentStream;
  readonly load: () => Load;
  /** Tells all others that the worker is not idle any more. */
  readonly onBusy: (by: StreamConnection) => void;
}

export class StreamConnection {
  /** Resolves when the student has asked for nothing more and all is answered; rejects with what ended the stream before. */
  readonly ended: Promise<void>;
  readonly #call: ServerDuplexStream<LogitsRequest__Output, LogitsReply>;
  readonly #host: ConnectionHost;
  readonly #waiting: (() => void)[] = [];
  #stream: StudentStream | undefined;
  #finish: () => void = () => {};
  #reject: (error: StillhouseError) => void = () => {};
  #isOver = false;
  #asksNoMore = false;

  constructor(call: ServerDuplexStream<LogitsRequest__Output, LogitsReply>, signal: AbortSignal, host: ConnectionHost) {
    this.#call = call;
    this.#host = host;
    this.ended = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#reject = reject;
    });
    call.on('data', (message: LogitsRequest__Output) => {
      if (this.#isOver) return;
      try {
        this.#receive(message);
      } catch (error) {
        this.fail(StillhouseError.from(error));
      }
    });
    call.on('end', () => {
      this.#asksNoMore = true;
      this.#settled();
    });
    call.on('drain', () => call.resume());
    signal.addEventListener('abort', () => this.fail(StillhouseError.from(signal.reason)), { once: true });
  }

  /** Undefined before Open. */
  get stream(): StudentStream | undefined {
    return this.#stream;
  }

  /** Ends the stream; its batches are not answered. */
  fail(error: StillhouseError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#reject(error);
    this.#stream?.close();
    this.#settled();
  }

  tell(load: Load): void {
    if (this.#stream !== undefined) this.#write({ load });
  }

  /** Resolves when no batch is outstanding, or the stream has ended. */
  answered(): Promise<void> {
    if (this.#isOver || this.#stream === undefined || this.#stream.outstanding === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #receive({ open, batch, cancel }: LogitsRequest__Output): void {
    const stream = this.#stream;
    if (open) {
      if (stream !== undefined) throw malformed('the stream is open already');
      this.#open(open);
    } else if (stream === undefined) {
      throw malformed('the first message must be Open');
    } else if (batch) {
      stream.receive(batch);
    } else if (cancel?.key) {
      stream.cancel(cancel.key);
    } else {
      throw malformed('the message is neither Open nor a batch, nor does it name one to cancel');
    }
  }

  #open(message: Open__Output): void {
    const write = (reply: LogitsReply) => this.#write(reply);
    const stream = this.#host.open(message, {
      write,
      onBusy: () => this.#host.onBusy(this),
      onSettled: () => this.#settled(),
    });
    this.#stream = stream;
    const { teacher, credits } = stream.opened;
    write({
      opened: {
        credits,
        teacherClassNames: [...teacher.classNames],
        modelDigest: teacher.modelDigest,
        datasetDigest: teacher.dataset.digest,
        viewProtocol: VIEW_PROTOCOL,
        load: this.#host.load(),
      },
    });
  }

  #write(reply: LogitsReply): void {
    if (this.#isOver) return;
    try {
      // A student that sends but does not read makes nobody keep its answers: nothing more is read from it.
      if (!this.#call.write(reply)) this.#call.pause();
    } catch (thrown) {
      this.fail(StillhouseError.from(thrown));
    }
  }

  #settled(): void {
    if (!this.#isOver && (this.#stream?.outstanding ?? 0) > 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
    if (!this.#asksNoMore || this.#isOver) return;
    this.#isOver = true;
    this.#finish();
  }
}

function malformed(message: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', message);
}
