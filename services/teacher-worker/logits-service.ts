/** The Teacher service: which teachers are served, the streams of their students, and the worker's orderly end. */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { sleep } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Load } from '../../lib/wire/generated/stillhouse/v1/Load.ts';
import type { LogitsReply } from '../../lib/wire/generated/stillhouse/v1/LogitsReply.ts';
import type { LogitsRequest__Output } from '../../lib/wire/generated/stillhouse/v1/LogitsRequest.ts';
import type { Open__Output } from '../../lib/wire/generated/stillhouse/v1/Open.ts';
import type { TeacherJobStatus } from '../../lib/wire/generated/stillhouse/v1/TeacherJobStatus.ts';
import type { Implementation } from '../../lib/wire/grpc.ts';
import { BatchComputer } from './batch-computer.ts';
import type { QueueLimits } from './batch-queue.ts';
import { checkOpen, teacherReplies } from './open-checks.ts';
import { RecordedReplies } from './recorded-replies.ts';
import type { ServedTeacher } from './served-teacher.ts';
import type { ServingCounters } from './serving-counters.ts';
import { StreamConnection } from './stream-connection.ts';
import { type StreamHost, StudentStream } from './student-stream.ts';

export interface LogitsServiceOptions {
  readonly workerId: string;
  /** Default: 16,384 samples, 256 MiB. */
  readonly queue?: QueueLimits;
  /** Of replies that are kept for batches that are asked for again; default 64 MiB. */
  readonly recordedBytesMax?: number;
}

const QUEUE: QueueLimits = { samples: 16_384, bytes: 256 * 1024 * 1024 };
/** Time for students to hear that the worker is leaving: what they have sent by then is refused by name. */
const FAREWELL_MS = 250;
const RECORDED_BYTES_MAX = 64 * 1024 * 1024;

/** Teachers of jobs whose counters are kept. */
const COUNTERS_KEPT = 32;

type Call = ServerDuplexStream<LogitsRequest__Output, LogitsReply>;

export class LogitsService {
  readonly #workerId: string;
  readonly #computer: BatchComputer;
  readonly #replies: RecordedReplies;
  readonly #host: StreamHost;
  readonly #served = new Map<string, ServedTeacher>();
  /** The latest loaded last. */
  readonly #counters = new Map<string, ServingCounters>();
  readonly #connections = new Set<StreamConnection>();
  #isDraining = false;

  constructor(options: LogitsServiceOptions) {
    this.#workerId = options.workerId;
    this.#computer = new BatchComputer(options.queue ?? QUEUE, () => this.#tellLoad());
    this.#replies = new RecordedReplies(options.recordedBytesMax ?? RECORDED_BYTES_MAX);
    this.#host = {
      computer: this.#computer,
      replies: this.#replies,
      load: () => this.#load(),
      isDraining: () => this.#isDraining,
    };
  }

  /** Streams can be opened to it from now on. */
  serve(teacher: ServedTeacher): void {
    const name = teacherReplies(teacher);
    this.#served.set(name, teacher);
    this.#counters.delete(name);
    this.#counters.set(name, teacher.counters);
    for (const oldest of this.#counters.keys()) {
      if (this.#counters.size <= COUNTERS_KEPT) break;
      if (!this.#served.has(oldest)) this.#counters.delete(oldest);
    }
  }

  /**
   * The job's teachers are served no more: streams to them end, at once unless the worker is drained. Resolves when nothing is
   * computed any more. The counters stay.
   */
  async withdraw(jobId: string): Promise<void> {
    const teachers = [...this.#served.values()].filter((teacher) => teacher.jobId === jobId);
    if (this.#isDraining) await this.#answered();
    for (const teacher of teachers) {
      const name = teacherReplies(teacher);
      if (this.#served.get(name) === teacher) this.#served.delete(name);
      teacher.counters.withdrawn();
      const reason = `teacher ${teacher.name} of job ${jobId} is served no more`;
      for (const connection of this.#connections) {
        if (connection.stream?.opened.teacher === teacher) connection.fail(new StillhouseError('UNAVAILABLE', reason));
      }
    }
    await this.#computer.settled();
    // What was being computed has been recorded too. Others under the name have been served anew meanwhile.
    for (const name of teachers.map(teacherReplies)) if (!this.#served.has(name)) this.#replies.forget(name);
  }

  /** Takes no new batches, answers those that it has within `limitMs`, then ends all streams. */
  async drain(limitMs: number): Promise<void> {
    this.#isDraining = true;
    this.#tellLoad();
    if (this.#connections.size > 0) await sleep(FAREWELL_MS);
    const limit = new AbortController();
    const late = sleep(limitMs, limit.signal).catch(() => undefined);
    await Promise.race([this.#answered(), late]);
    limit.abort();
    for (const connection of this.#connections) {
      connection.fail(new StillhouseError('UNAVAILABLE', 'the teacher-worker has been drained'));
    }
  }

  status(): TeacherJobStatus[] {
    return [...this.#counters.values()].map((counters) => counters.status());
  }

  implementation(): Implementation<'Teacher'> {
    return {
      GetTeacherStatus: () => ({ workerId: this.#workerId, jobs: this.status() }),
      StreamLogits: (call, { signal }) => this.#connect(call, signal),
    };
  }

  async #connect(call: Call, signal: AbortSignal): Promise<void> {
    const connection = new StreamConnection(call, signal, {
      open: (message, end) => new StudentStream(checkOpen(message, this.#teacherOf(message)), this.#host, end),
      load: () => this.#load(),
      onBusy: (by) => this.#tellLoad(by),
    });
    this.#connections.add(connection);
    try {
      await connection.ended;
    } finally {
      this.#connections.delete(connection);
    }
  }

  #teacherOf({ jobId, teacher: name, modelDigest }: Open__Output): ServedTeacher {
    if (this.#isDraining) throw new StillhouseError('UNAVAILABLE', 'the teacher-worker is drained: ask another one');
    const teacher = this.#served.get(teacherReplies({ jobId, name }));
    if (teacher === undefined) {
      // It may be loaded again in a moment: whoever wants it is not told that it never fits.
      const message = `teacher ${name} of job ${jobId} is not served here now`;
      throw new StillhouseError('UNAVAILABLE', message, { field: 'teacher' });
    }
    if (teacher.modelDigest === modelDigest) return teacher;
    const message = `teacher ${name} of job ${jobId} is ${teacher.modelDigest} here, not ${modelDigest}`;
    throw new StillhouseError('FAILED_PRECONDITION', message, { field: 'model_digest' });
  }

  #load(): Load {
    const { queuedSamples, samplesPerSecond } = this.#computer;
    return { queuedSamples, samplesPerSecond, draining: this.#isDraining };
  }

  /** @param but who knows already */
  #tellLoad(but?: StreamConnection): void {
    const load = this.#load();
    const [first] = this.#connections;
    for (const connection of this.#connections) if (connection !== but) connection.tell(load);
    // Not always the same student hears of it first.
    if (first === undefined || but !== undefined) return;
    this.#connections.delete(first);
    this.#connections.add(first);
  }

  /** Resolves when no batch is outstanding. */
  async #answered(): Promise<void> {
    await Promise.all([...this.#connections].map((connection) => connection.answered()));
  }
}
