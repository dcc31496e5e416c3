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
  /** Whether the job's views mix images: batches then name partners. */
  readonly mixes: boolean;
  readonly answers: TeacherAnswers;
}

interface Counters {
  samplesServed: number;
  samplesRepeated: number;
  samplesCached: number;
  batchesServed: number;
  bytesSent: number;
  computeMs: number;
  /** Keys that have been answered, to tell repetitions. */
  readonly answered: Set<string>;
}

const NO_COUNTS = {
  samplesServed: 0,
  samplesRepeated: 0,
  samplesCached: 0,
  batchesServed: 0,
  bytesSent: 0,
  computeMs: 0,
};

/** The other end of a stream. */
interface Peer {
  readonly requests: AsyncIterable<LogitsRequest__Output>;
  /** Aborted when it is gone. */
  readonly signal: AbortSignal;
  readonly write: (reply: LogitsReply) => void;
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
    this.#counters.set(jobId, { ...NO_COUNTS, answered: new Set(), modelDigest });
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
        this.#stream({
          requests: call,
          signal,
          write: (reply) => {
            if (!signal.aborted) call.write(reply);
          },
        }),
    };
  }

  #status(): TeacherJobStatus[] {
    return [...this.#counters].map(([jobId, { answered: _, ...counters }]) => ({ jobId, ...counters }));
  }

  #stream(peer: Peer): Promise<void> {
    return new Promise((resolve, reject) => {
      const running = new Set<Promise<void>>();
      // A batch that fails ends the stream at once, also while the student sends nothing more.
      const run = (answer: Promise<void>) => {
        running.add(answer);
        answer.then(() => running.delete(answer), reject);
      };
      this.#read(peer, running, run).then(() => Promise.all(running).then(() => resolve(), reject), reject);
    });
  }

  async #read(peer: Peer, running: ReadonlySet<unknown>, run: (answer: Promise<void>) => void): Promise<void> {
    let stream: OpenStream | undefined;
    for await (const { open, batch } of peer.requests) {
      if (open) {
        if (stream !== undefined) throw new StillhouseError('INVALID_ARGUMENT', 'the stream is open already');
        stream = this.#open(open);
        peer.write({ opened: { credits: CREDITS, teacherClassNames: [...stream.teacher.classNames] } });
        continue;
      }
      if (stream === undefined) throw new StillhouseError('INVALID_ARGUMENT', 'the first message must be Open');
      if (!batch) throw new StillhouseError('INVALID_ARGUMENT', 'the message is neither Open nor a batch');
      if (running.size >= CREDITS) {
        throw new StillhouseError('RESOURCE_EXHAUSTED', `more than ${CREDITS} batches are outstanding on the stream`);
      }
      run(this.#answer(stream, batch, peer));
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

  async #answer(stream: OpenStream, batch: LabelBatch__Output, { signal, write }: Peer): Promise<void> {
    const { teacher, counters, columns } = stream;
    const { sampleIds: ids, epoch, key } = batch;
    if (key === null) throw new StillhouseError('INVALID_ARGUMENT', 'the batch has no key', { field: 'batch.key' });
    const { answers, classNames, jobId } = teacher;
    if (this.#served.get(jobId) !== teacher)
      throw unmet('model_digest', `the teacher of job ${jobId} is served no more`);
    const partners = checkSamples(teacher, batch);
    const { logits, computeMs, cached } = await answers.of({ ids, partners, epoch }, signal);
    const values = bytesOf(selectColumns(logits, classNames.length, columns));
    counters.computeMs += computeMs;
    counters.samplesCached += cached;
    count(counters, `${key.view}/${key.step}/${key.lane}`, ids.length, values.byteLength);
    write({ logits: { key, values: Buffer.from(values), samples: ids.length, classes: columnCount(columns) } });
  }
}

/** The batch's partners, null where the job mixes nothing. @throws INVALID_ARGUMENT naming the field */
function checkSamples(
  { microBatch, mixes, dataset }: ServedTeacher,
  { sampleIds, partnerIds }: LabelBatch__Output,
): readonly number[] | null {
  const refuse = (field: string, message: string) =>
    new StillhouseError('INVALID_ARGUMENT', message, { field: `batch.${field}` });
  const { length } = sampleIds;
  if (length === 0 || length > microBatch) {
    throw refuse('sample_ids', `the batch has ${length} samples, expected 1 to ${microBatch}: one lane micro-batch`);
  }
  const expected = mixes ? length : 0;
  if (partnerIds.length !== expected) {
    const why = mixes ? 'one for each sample, as the job mixes images' : 'none, as the job mixes no images';
    throw refuse('partner_ids', `the batch has ${partnerIds.length} partners, expected ${why}`);
  }
  const { sampleCount, name } = dataset;
  const strange = partnerIds.find((id) => id >= sampleCount);
  if (strange !== undefined) {
    const message = `partner ${strange} is not in the data set ${name}, whose ids are 0 to ${sampleCount - 1}`;
    throw refuse('partner_ids', message);
  }
  return mixes ? partnerIds : null;
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
