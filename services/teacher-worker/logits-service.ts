/**
 * The Teacher service: streams of logits, one batch of a lane at a time. What is stored is answered at once, what has to be
 * computed in the order in which it comes in. The compute thread is the queue's end; credits bound how much waits in front
 * of it.
 */
import { bytesOf } from '../../lib/base/digest.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { VIEW_PROTOCOL } from '../../lib/data/views.ts';
import type { LabelBatch__Output } from '../../lib/wire/generated/stillhouse/v1/LabelBatch.ts';
import type { LogitsReply } from '../../lib/wire/generated/stillhouse/v1/LogitsReply.ts';
import type { LogitsRequest__Output } from '../../lib/wire/generated/stillhouse/v1/LogitsRequest.ts';
import type { Open__Output } from '../../lib/wire/generated/stillhouse/v1/Open.ts';
import type { TeacherJobStatus } from '../../lib/wire/generated/stillhouse/v1/TeacherJobStatus.ts';
import type { Implementation } from '../../lib/wire/grpc.ts';
import { columnCount, type StudentColumns, selectColumns, studentColumns } from './student-columns.ts';
import type { TeacherAnswers } from './teacher-answers.ts';

/** Batches that one student may have outstanding. */
const CREDITS = 64;

/** Jobs whose counters are kept. */
const JOBS_KEPT = 16;

/** A teacher that is loaded for a job. */
export interface ServedTeacher {
  readonly jobId: string;
  /** Of the students' lanes: what a batch has at most. */
  readonly microBatch: number;
  readonly modelDigest: string;
  readonly classNames: readonly string[];
  readonly dataset: Dataset;
  readonly answers: TeacherAnswers;
}

interface Counters {
  samplesServed: number;
  samplesRepeated: number;
  batchesServed: number;
  bytesSent: number;
  computeMs: number;
  /** Keys that have been answered, to tell repetitions. */
  readonly answered: Set<string>;
}

interface OpenStream {
  readonly teacher: ServedTeacher;
  readonly counters: Counters;
  readonly columns: StudentColumns;
}

export class LogitsService {
  readonly #workerId: string;
  readonly #served = new Map<string, ServedTeacher>();
  readonly #counters = new Map<string, Counters & { modelDigest: string }>();

  constructor(workerId: string) {
    this.#workerId = workerId;
  }

  serve(teacher: ServedTeacher): void {
    const { jobId, modelDigest } = teacher;
    this.#served.set(jobId, teacher);
    if (this.#counters.get(jobId)?.modelDigest === modelDigest) return;
    const counters = { samplesServed: 0, samplesRepeated: 0, batchesServed: 0, bytesSent: 0, computeMs: 0 };
    this.#counters.set(jobId, { ...counters, answered: new Set(), modelDigest });
    for (const id of this.#counters.keys()) {
      if (this.#counters.size <= JOBS_KEPT) break;
      if (!this.#served.has(id)) this.#counters.delete(id);
    }
  }

  /** Batches that come after this are refused. The counters stay. */
  withdraw(jobId: string): void {
    this.#served.delete(jobId);
  }

  implementation(): Implementation<'Teacher'> {
    return {
      GetTeacherStatus: () => ({ workerId: this.#workerId, jobs: this.#status() }),
      StreamLogits: (call, { signal }) =>
        this.#stream(call, (reply) => {
          if (!signal.aborted) call.write(reply);
        }),
    };
  }

  #status(): TeacherJobStatus[] {
    return [...this.#counters].map(([jobId, { answered: _, ...counters }]) => ({ jobId, ...counters }));
  }

  #stream(requests: AsyncIterable<LogitsRequest__Output>, write: (reply: LogitsReply) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const running = new Set<Promise<void>>();
      // A batch that fails ends the stream at once, also while the student sends nothing more.
      const run = (answer: Promise<void>) => {
        running.add(answer);
        answer.then(() => running.delete(answer), reject);
      };
      this.#read(requests, write, running, run).then(() => Promise.all(running).then(() => resolve(), reject), reject);
    });
  }

  async #read(
    requests: AsyncIterable<LogitsRequest__Output>,
    write: (reply: LogitsReply) => void,
    running: ReadonlySet<unknown>,
    run: (answer: Promise<void>) => void,
  ): Promise<void> {
    let stream: OpenStream | undefined;
    for await (const { open, batch } of requests) {
      if (open) {
        if (stream !== undefined) throw new StillhouseError('INVALID_ARGUMENT', 'the stream is open already');
        stream = this.#open(open);
        write({ opened: { credits: CREDITS, teacherClassNames: [...stream.teacher.classNames] } });
        continue;
      }
      if (stream === undefined) throw new StillhouseError('INVALID_ARGUMENT', 'the first message must be Open');
      if (!batch) throw new StillhouseError('INVALID_ARGUMENT', 'the message is neither Open nor a batch');
      if (running.size >= CREDITS) {
        throw new StillhouseError('RESOURCE_EXHAUSTED', `more than ${CREDITS} batches are outstanding on the stream`);
      }
      run(this.#answer(stream, batch, write));
    }
  }

  #open(open: Open__Output): OpenStream {
    const teacher = this.#served.get(open.jobId);
    const counters = this.#counters.get(open.jobId);
    if (teacher === undefined || counters === undefined || teacher.modelDigest !== open.modelDigest) {
      throw unmet('model_digest', `teacher ${open.modelDigest} is not loaded here for job ${open.jobId}`);
    }
    if (teacher.dataset.digest !== open.datasetDigest) {
      throw unmet('dataset_digest', `the data set here is ${teacher.dataset.digest}, not ${open.datasetDigest}`);
    }
    if (open.viewProtocol !== VIEW_PROTOCOL) {
      throw unmet('view_protocol', `views are computed by rule ${VIEW_PROTOCOL} here, not ${open.viewProtocol}`);
    }
    if (open.encoding !== 'LOGITS_ENCODING_FP32') throw unmet('encoding', `${open.encoding} is not known here`);
    return { teacher, counters, columns: studentColumns(open, teacher.classNames) };
  }

  async #answer(stream: OpenStream, batch: LabelBatch__Output, write: (reply: LogitsReply) => void): Promise<void> {
    const { teacher, counters, columns } = stream;
    const { sampleIds, epoch, key } = batch;
    if (key === null) throw new StillhouseError('INVALID_ARGUMENT', 'the batch has no key', { field: 'batch.key' });
    const { answers, classNames, jobId, microBatch } = teacher;
    if (this.#served.get(jobId) !== teacher)
      throw unmet('model_digest', `the teacher of job ${jobId} is served no more`);
    if (sampleIds.length === 0 || sampleIds.length > microBatch) {
      const message = `the batch has ${sampleIds.length} samples, expected 1 to ${microBatch}: one lane micro-batch`;
      throw new StillhouseError('INVALID_ARGUMENT', message, { field: 'batch.sample_ids' });
    }
    const { logits, computeMs } = await answers.of(sampleIds, epoch);
    const values = bytesOf(selectColumns(logits, classNames.length, columns));
    counters.computeMs += computeMs;
    count(counters, `${key.view}/${key.step}/${key.lane}`, sampleIds.length, values.byteLength);
    write({ logits: { key, values: Buffer.from(values), samples: sampleIds.length, classes: columnCount(columns) } });
  }
}

function count(counters: Counters, key: string, samples: number, bytes: number): void {
  counters.batchesServed += 1;
  counters.bytesSent += bytes;
  if (counters.answered.has(key)) counters.samplesRepeated += samples;
  else counters.samplesServed += samples;
  counters.answered.add(key);
}

function unmet(field: string, message: string): StillhouseError {
  return new StillhouseError('FAILED_PRECONDITION', message, { field });
}
