/** The student's end of one stream of logits, from one teacher of one worker: what goes out, and what comes in, checked. */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { after } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { ImageShape } from '../../lib/data/manifest.ts';
import { VIEW_PROTOCOL } from '../../lib/data/views.ts';
import { studentColumns } from '../../lib/distill/logits/columns.ts';
import { decodeRows, type LogitsFormat, rowBytes, type TeacherLogits } from '../../lib/distill/logits/format.ts';
import type { Logits__Output } from '../../lib/wire/generated/stillhouse/v1/Logits.ts';
import type { LogitsKey__Output } from '../../lib/wire/generated/stillhouse/v1/LogitsKey.ts';
import type { LogitsReply__Output } from '../../lib/wire/generated/stillhouse/v1/LogitsReply.ts';
import type { LogitsRequest as LogitsMessage } from '../../lib/wire/generated/stillhouse/v1/LogitsRequest.ts';
import type { Opened__Output } from '../../lib/wire/generated/stillhouse/v1/Opened.ts';
import type { Refused__Output } from '../../lib/wire/generated/stillhouse/v1/Refused.ts';
import { dial, fromStatus, type RpcClient } from '../../lib/wire/grpc.ts';
import { codeOfName } from '../../lib/wire/grpc-status.ts';
import { formatMessage } from '../../lib/wire/logits-formats.ts';
import type { Refusal } from './balance-events.ts';
import { type BatchKey, batchKey, type ReportedLoad, stepAndLane } from './teacher-load.ts';

export interface LogitsStreamOptions {
  /** The teacher-worker's id. */
  readonly teacherWorkerId: string;
  /** Its `host:port`. */
  readonly address: string;
  readonly jobId: string;
  /** Who asks. */
  readonly studentWorkerId: string;
  /** The teacher's name in the job. */
  readonly teacher: string;
  readonly modelDigest: string;
  readonly datasetDigest: string;
  /** Of the student, in the order of its outputs. */
  readonly classNames: readonly string[];
  /** Above 0: one more column for all other classes, see `Open`. */
  readonly dustbinTemperature: number;
  readonly format: LogitsFormat;
  /** Number of the view that is being trained, part of every batch's key. */
  readonly view: number;
  /** Of the images that batches carry; null: they name samples. */
  readonly pixels: ImageShape | null;
}

/** One lane's micro-batch, to be sent. */
export interface OutgoingBatch {
  readonly key: BatchKey;
  readonly ids: Uint32Array;
  readonly partners: Uint32Array | null;
  readonly epoch: number;
  /** [ids, height, width, channels]; null: the teacher reads the samples itself. */
  readonly pixels: Uint8Array | null;
}

/** See `LabelBatch`. */
export interface BatchTiming {
  readonly neededInMs: number;
  readonly deadlineMs: number;
}

export interface ReceivedAnswer {
  readonly logits: TeacherLogits;
  /** Of the samples, how many the teacher did not have to compute. */
  readonly samplesStored: number;
  readonly bytes: number;
}

/** What becomes of a stream. After `ended` nothing comes any more. */
export interface StreamEvents {
  /** The teacher has accepted what the student expects, and the student what the teacher is. */
  opened(credits: number, load: ReportedLoad | null): void;
  answered(key: BatchKey, answer: ReceivedAnswer, load: ReportedLoad | null): void;
  /**
   * Also when the answer is unusable: DATA_LOSS then, naming the sample.
   * @param said as the teacher has put it, without the batch
   */
  refused(key: BatchKey, refusal: Refusal, said: string): void;
  /** A second reply to a batch. */
  repeated(): void;
  loaded(load: ReportedLoad): void;
  /** Others are computed before the batch. */
  waits(key: BatchKey, load: ReportedLoad): void;
  /** The turn of a batch that had to wait has come. */
  begun(key: BatchKey): void;
  /** @param error FAILED_PRECONDITION when teacher and student do not fit; UNAVAILABLE when the teacher is not there */
  ended(error: StillhouseError): void;
}

const OPEN_TIMEOUT_MS = 30_000;
const UINT32_MAX = 0xffff_ffff;

export class LogitsStream {
  /** For messages. */
  readonly who: string;
  readonly #options: LogitsStreamOptions;
  readonly #events: StreamEvents;
  readonly #client: RpcClient<'Teacher'>;
  readonly #call: ClientDuplexStream<LogitsMessage, LogitsReply__Output>;
  /** Samples of the batches that have had no reply. */
  readonly #sent = new Map<BatchKey, Uint32Array>();
  #lastKey = -1;
  readonly #disarm: () => void;
  #isOpen = false;
  #hasEnded = false;

  constructor(options: LogitsStreamOptions, events: StreamEvents) {
    this.#options = options;
    this.#events = events;
    this.who = `teacher "${options.teacher}" at ${options.teacherWorkerId} (${options.address})`;
    this.#client = dial('Teacher', options.address);
    this.#call = this.#client.streamLogits();
    this.#call.on('data', (reply: LogitsReply__Output) => this.#receive(reply));
    this.#call.on('error', (error) => this.#end(fromStatus(error, this.who)));
    this.#call.on('end', () => this.#end(new StillhouseError('UNAVAILABLE', 'the stream was ended')));
    this.#disarm = after(OPEN_TIMEOUT_MS, () => {
      this.#end(new StillhouseError('UNAVAILABLE', `no answer within ${OPEN_TIMEOUT_MS / 1000} s`));
    });
    const { jobId, studentWorkerId, modelDigest, datasetDigest, classNames } = options;
    const { dustbinTemperature, teacher, format, pixels } = options;
    this.#call.write({
      open: {
        jobId,
        studentWorkerId,
        modelDigest,
        datasetDigest: pixels === null ? datasetDigest : '',
        classNames: [...classNames],
        viewProtocol: VIEW_PROTOCOL,
        format: formatMessage(format),
        dustbinTemperature,
        teacher,
        pixels,
      },
    });
  }

  /** Costs a credit. */
  send({ key, ids, partners, epoch, pixels }: OutgoingBatch, { neededInMs, deadlineMs }: BatchTiming): void {
    if (this.#hasEnded) return;
    this.#sent.set(key, ids);
    this.#lastKey = Math.max(this.#lastKey, key);
    this.#call.write({
      batch: {
        key: this.#keyMessage(key),
        sampleIds: Array.from(ids),
        // Where pixels travel they are mixed already.
        partnerIds: partners === null || pixels !== null ? [] : Array.from(partners),
        epoch,
        neededInMs: Math.min(UINT32_MAX, Math.round(neededInMs)),
        deadlineMs: Math.min(UINT32_MAX, Math.ceil(deadlineMs)),
        ...(pixels !== null && { pixels }),
      },
    });
  }

  cancel(key: BatchKey): void {
    if (!this.#hasEnded) this.#call.write({ cancel: { key: this.#keyMessage(key) } });
  }

  /** `ended` is not told. */
  close(): void {
    this.#hasEnded = true;
    this.#disarm();
    this.#sent.clear();
    this.#call.cancel();
    this.#client.close();
  }

  #keyMessage(key: BatchKey): LogitsKey__Output {
    return { view: this.#options.view, ...stepAndLane(key) };
  }

  #receive({ opened, logits, refused, load, waiting, begun }: LogitsReply__Output): void {
    if (this.#hasEnded) return;
    try {
      if (opened) this.#open(opened);
      else if (!this.#isOpen) throw garbage('the first message is not Opened');
      else if (logits) this.#take(logits);
      else if (refused) this.#refuse(refused);
      else if (load) this.#events.loaded(load);
      else if (waiting?.load) this.#events.waits(this.#keyOf(waiting.key), waiting.load);
      else if (begun) this.#events.begun(this.#keyOf(begun.key));
      else throw garbage('a message has nothing in it that is known here');
    } catch (error) {
      this.#end(StillhouseError.from(error));
    }
  }

  #open({ credits, teacherClassNames, modelDigest, datasetDigest, viewProtocol, load }: Opened__Output): void {
    if (this.#isOpen) throw garbage('Opened came twice');
    const options = this.#options;
    requireSame('the model', modelDigest, options.modelDigest, 'model_digest');
    if (options.pixels === null) requireSame('the data set', datasetDigest, options.datasetDigest, 'dataset_digest');
    requireSame('the rule of views', viewProtocol, VIEW_PROTOCOL, 'view_protocol');
    studentColumns(options, teacherClassNames);
    if (credits < 1) throw garbage('Opened grants no credits');
    this.#disarm();
    this.#isOpen = true;
    this.#events.opened(credits, load);
  }

  #take(message: Logits__Output): void {
    const key = this.#keyOf(message.key);
    const ids = this.#sent.get(key);
    if (ids === undefined) {
      this.#events.repeated();
      return;
    }
    this.#sent.delete(key);
    const { samplesStored, values, load } = message;
    let logits: TeacherLogits;
    try {
      logits = this.#decode(message, ids);
    } catch (error) {
      const { code, message } = StillhouseError.from(error);
      this.#events.refused(key, { code, message, retryAfterMs: 0 }, message);
      return;
    }
    this.#events.answered(key, { logits, samplesStored, bytes: values.byteLength }, load);
  }

  #decode({ values, samples, classes }: Logits__Output, ids: Uint32Array): TeacherLogits {
    const { format } = this.#options;
    if (samples !== ids.length || classes !== format.columns) {
      const message = `${this.who} answered logits of [${samples}, ${classes}], expected [${ids.length}, ${format.columns}], to ${listed(ids)}`;
      throw new StillhouseError('DATA_LOSS', message);
    }
    try {
      return decodeRows(values, ids.length, format, this.who);
    } catch (error) {
      const size = rowBytes(format);
      // Row by row, to name the sample at fault.
      if (values.byteLength === ids.length * size) {
        for (const [row, id] of ids.entries()) {
          decodeRows(values.subarray(row * size, (row + 1) * size), 1, format, `${this.who}: sample ${id}`);
        }
      }
      const { code, message } = StillhouseError.from(error);
      throw new StillhouseError(code, `${message}, in the answer to ${listed(ids)}`, { cause: error });
    }
  }

  #refuse({ key: named, code, message, retryAfterMs }: Refused__Output): void {
    const key = this.#keyOf(named);
    const ids = this.#sent.get(key);
    if (ids === undefined) {
      this.#events.repeated();
      return;
    }
    this.#sent.delete(key);
    const { step } = stepAndLane(key);
    const text = `${this.who} refused a batch of step ${step + 1}, ${listed(ids)}: ${message}`;
    this.#events.refused(key, { code: codeOfName(code), message: text, retryAfterMs }, message);
  }

  /** @throws DATA_LOSS for a batch that has not been asked for */
  #keyOf(named: LogitsKey__Output | null): BatchKey {
    const { view, step, lane } = named ?? { view: -1, step: -1, lane: -1 };
    const key = batchKey(step, lane);
    if (view === this.#options.view && key <= this.#lastKey) return key;
    throw garbage(`there is a reply to view ${view}, step ${step}, lane ${lane}, which was not asked for`);
  }

  #end(error: StillhouseError): void {
    if (this.#hasEnded) return;
    this.close();
    const { code, message, field, hint, cause } = error;
    const named = message.startsWith(this.who) ? message : `${this.who}: ${message}`;
    const details = { ...(field === undefined ? {} : { field }), ...(hint === undefined ? {} : { hint }), cause };
    this.#events.ended(new StillhouseError(code, named, details));
  }
}

function requireSame(what: string, theirs: string | number, ours: string | number, field: string): void {
  if (theirs === ours) return;
  throw new StillhouseError('FAILED_PRECONDITION', `${what} there is ${theirs || 'not named'}, not ${ours}`, { field });
}

function garbage(message: string): StillhouseError {
  return new StillhouseError('DATA_LOSS', message);
}

const IDS_SHOWN = 4;

function listed(ids: Uint32Array): string {
  const shown = Array.from(ids.subarray(0, IDS_SHOWN)).join(', ');
  if (ids.length === 1) return `sample ${shown}`;
  return `samples ${shown}${ids.length > IDS_SHOWN ? ` and ${ids.length - IDS_SHOWN} more` : ''}`;
}
