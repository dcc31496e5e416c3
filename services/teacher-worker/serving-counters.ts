/** What a teacher-worker counts while it serves: plain numbers, read by its status, its progress and its metrics. */
import { monotonicMs } from '../../lib/base/clock.ts';
import type { TeacherJobStatus } from '../../lib/wire/generated/stillhouse/v1/TeacherJobStatus.ts';
import type { TeacherShare } from '../../lib/wire/generated/stillhouse/v1/TeacherShare.ts';

/** One teacher of a job on this worker. */
export class ServingCounters {
  readonly jobId: string;
  /** Its name in the job. */
  readonly teacher: string;
  readonly modelDigest: string;
  /** In answers that were sent, without those that repeat a recorded reply. */
  samplesServed = 0;
  samplesRepeated = 0;
  /** Of those served, answered from stored logits. */
  samplesCached = 0;
  /** By the model, also for answers that nobody waited for any more. */
  samplesComputed = 0;
  batchesServed = 0;
  batchesRefused = 0;
  /** Waiting or being computed now. */
  samplesQueued = 0;
  /** Of logits. */
  bytesSent = 0;
  computeMs = 0;
  readonly #loadedMs = monotonicMs();
  #withdrawnMs: number | undefined;

  constructor(jobId: string, teacher: string, modelDigest: string) {
    this.jobId = jobId;
    this.teacher = teacher;
    this.modelDigest = modelDigest;
  }

  /** Milliseconds since the teacher was loaded, or in which it was. */
  get servingMs(): number {
    return (this.#withdrawnMs ?? monotonicMs()) - this.#loadedMs;
  }

  withdrawn(): void {
    this.#withdrawnMs ??= monotonicMs();
  }

  status(): TeacherJobStatus {
    const { jobId, modelDigest, batchesServed } = this;
    return { jobId, modelDigest, batchesServed, ...this.#counts() };
  }

  share(workerId: string): TeacherShare {
    return { workerId, ...this.#counts() };
  }

  /** What both messages have. */
  #counts() {
    const { teacher, samplesServed, samplesComputed, samplesCached, samplesRepeated, batchesRefused } = this;
    const { samplesQueued, bytesSent, computeMs, servingMs } = this;
    return {
      teacher,
      samplesServed,
      samplesComputed,
      samplesCached,
      samplesRepeated,
      batchesRefused,
      samplesQueued,
      bytesSent,
      computeMs,
      servingMs,
    };
  }
}
