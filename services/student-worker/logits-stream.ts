/** The student's end of a logits stream: batches out while there are credits, replies matched by key. */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { unlessAborted, withTimeout } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { VIEW_PROTOCOL } from '../../lib/data/views.ts';
import type { LogitsRequest, LogitsSource } from '../../lib/distill/step-inputs.ts';
import { payloadFloats } from '../../lib/wire/frame.ts';
import type { Logits__Output } from '../../lib/wire/generated/stillhouse/v1/Logits.ts';
import type { LogitsKey } from '../../lib/wire/generated/stillhouse/v1/LogitsKey.ts';
import type { LogitsReply__Output } from '../../lib/wire/generated/stillhouse/v1/LogitsReply.ts';
import type { LogitsRequest as LogitsMessage } from '../../lib/wire/generated/stillhouse/v1/LogitsRequest.ts';
import { dial, fromStatus, type RpcClient } from '../../lib/wire/grpc.ts';

export interface LogitsStreamOptions {
  /** The teacher's `host:port`. */
  readonly address: string;
  readonly jobId: string;
  readonly workerId: string;
  readonly modelDigest: string;
  readonly datasetDigest: string;
  /** Of the student, in the order of its outputs. */
  readonly classNames: readonly string[];
  /** Above 0: one more column for all other classes, see `Open`. */
  readonly dustbinTemperature: number;
  /** Number of the view that is being trained, part of every batch's key. */
  readonly view: number;
}

const OPEN_TIMEOUT_MS = 30_000;

interface Waiting {
  readonly samples: number;
  readonly resolve: (logits: Float32Array) => void;
  readonly reject: (error: StillhouseError) => void;
}

export class LogitsStream implements LogitsSource {
  readonly #options: LogitsStreamOptions;
  readonly #client: RpcClient<'Teacher'>;
  readonly #call: ClientDuplexStream<LogitsMessage, LogitsReply__Output>;
  readonly #waiting = new Map<string, Waiting>();
  readonly #queue: LogitsMessage[] = [];
  #credits = 0;
  #failure: StillhouseError | undefined;

  /**
   * Resolves once the teacher has accepted what the student expects.
   * @throws FAILED_PRECONDITION when it has not; UNAVAILABLE when it does not answer; the signal's reason
   */
  static async open(options: LogitsStreamOptions, signal: AbortSignal): Promise<LogitsStream> {
    const stream = new LogitsStream(options);
    try {
      await unlessAborted(
        withTimeout(stream.#opened, OPEN_TIMEOUT_MS, () => silence(options)),
        signal,
      );
      return stream;
    } catch (error) {
      stream.close();
      throw error;
    }
  }

  readonly #opened: Promise<void>;

  private constructor(options: LogitsStreamOptions) {
    this.#options = options;
    this.#client = dial('Teacher', options.address);
    this.#call = this.#client.streamLogits();
    this.#opened = new Promise((resolve, reject) => {
      this.#call.on('data', (reply: LogitsReply__Output) => {
        try {
          if (reply.opened) {
            this.#credits = reply.opened.credits;
            resolve();
          } else if (reply.logits) this.#receive(reply.logits);
          this.#send();
        } catch (error) {
          this.#fail(StillhouseError.from(error, `the teacher at ${options.address} answered something unreadable`));
          this.#call.cancel();
        }
      });
      this.#call.on('error', (error) => {
        this.#fail(fromStatus(error, `the teacher at ${options.address}`));
        reject(this.#failure);
      });
      this.#call.on('end', () => {
        this.#fail(new StillhouseError('UNAVAILABLE', `the teacher at ${options.address} ended the stream`));
        reject(this.#failure);
      });
    });
    const { jobId, workerId, modelDigest, datasetDigest, classNames, dustbinTemperature } = options;
    this.#call.write({
      open: {
        jobId,
        studentWorkerId: workerId,
        modelDigest,
        datasetDigest,
        classNames: [...classNames],
        viewProtocol: VIEW_PROTOCOL,
        encoding: 'LOGITS_ENCODING_FP32',
        dustbinTemperature,
      },
    });
  }

  logits({ step, lane, ids, partners, epoch }: LogitsRequest): Promise<Float32Array> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const key = { view: this.#options.view, step, lane };
    return new Promise((resolve, reject) => {
      this.#waiting.set(nameOf(key), { samples: ids.length, resolve, reject });
      this.#queue.push({ batch: { key, sampleIds: [...ids], partnerIds: [...(partners ?? [])], epoch } });
      this.#send();
    });
  }

  close(): void {
    this.#fail(new StillhouseError('CANCELLED', 'the logits stream was closed'));
    this.#call.cancel();
    this.#client.close();
  }

  #send(): void {
    while (this.#credits > 0 && this.#queue.length > 0) {
      this.#credits -= 1;
      this.#call.write(this.#queue.shift() as LogitsMessage);
    }
  }

  #receive({ key, values, samples, classes }: Logits__Output): void {
    this.#credits += 1;
    const name = nameOf(key ?? {});
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) return;
    this.#waiting.delete(name);
    const logits = payloadFloats(values);
    const { classNames, dustbinTemperature } = this.#options;
    const expectedClasses = classNames.length + (dustbinTemperature > 0 ? 1 : 0);
    if (samples === waiting.samples && classes === expectedClasses && logits.length === samples * classes) {
      waiting.resolve(logits);
      return;
    }
    const expected = `[${waiting.samples}, ${expectedClasses}]`;
    const message = `the teacher at ${this.#options.address} answered logits of [${samples}, ${classes}], expected ${expected}`;
    waiting.reject(new StillhouseError('DATA_LOSS', message));
  }

  #fail(error: StillhouseError): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
    this.#queue.length = 0;
  }
}

function silence({ address }: LogitsStreamOptions): StillhouseError {
  return new StillhouseError(
    'UNAVAILABLE',
    `the teacher at ${address} did not answer within ${OPEN_TIMEOUT_MS / 1000} s`,
  );
}

function nameOf({ view, step, lane }: LogitsKey): string {
  return `${view}/${step}/${lane}`;
}
