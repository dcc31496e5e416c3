/** Counts what a worker contributes to a training task. */
import type { EpochVerdict } from '../distill/epoch-watch.ts';
import type { Commit } from '../distill/training-loop.ts';
import type { TaskProgressFields } from './task-runner.ts';

export interface LaneShare {
  readonly workerId: string;
  readonly firstLane: number;
  readonly lanes: number;
}

/** How the task's steps are cut into epochs. */
export interface EpochPlan {
  readonly steps: number;
  readonly stepsPerEpoch: number;
}

/** What a worker counts of its averaging so far. */
export interface AveragingCounters {
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** What a worker counts of the logits that it is fed so far. */
export interface LogitsCounters {
  /** Answers that were read from the cache, here: one per sample and teacher that was asked for it. */
  readonly cachedSamples: number;
  /** Batches that were sent again, since a teacher was lost, slow, busy or wrong. */
  readonly batchesResent: number;
  /** Answers to batches that had been answered. */
  readonly duplicateAnswers: number;
  /** Of logits, from teachers. */
  readonly bytesReceived: number;
}

/** At the model that an epoch has ended with. */
type Look = Pick<EpochVerdict, 'bestEpoch' | 'bestAccuracy' | 'tookMs'>;

interface FinishedEpoch {
  readonly finishedEpoch: number;
  readonly finishedEpochLoss: number;
  readonly finishedEpochAccuracy: number;
}

/** Counters that are kept elsewhere, looked at whenever progress is answered. Absent: nothing is averaged, nothing fed. */
export interface CounterSources {
  readonly averaging?: (() => AveragingCounters) | undefined;
  readonly logits?: (() => LogitsCounters) | undefined;
}

const NO_TRAFFIC: AveragingCounters = { bytesSent: 0, bytesReceived: 0 };
const NO_LOGITS: LogitsCounters = { cachedSamples: 0, batchesResent: 0, duplicateAnswers: 0, bytesReceived: 0 };

export class ShareMeter {
  readonly #owner: LaneShare;
  readonly #plan: EpochPlan;
  /** Of the epoch of the latest step: its number from 1, its samples so far, and their sums. */
  #epoch = { number: 0, samples: 0, loss: 0, right: 0 };
  #finished: FinishedEpoch = {
    finishedEpoch: 0,
    finishedEpochLoss: 0,
    finishedEpochAccuracy: 0,
  };
  #checkpoint = { digest: '', epoch: 0 };
  #choice = { bestEpoch: 0, bestAccuracy: 0, stoppedEarly: false };
  #firstLoss = 0;
  #loss = 0;
  #steps = 0;
  #samples = 0;
  #teacherSamples = 0;
  #teacherWaitMs = 0;
  #averagingWaitMs = 0;
  #dataWaitMs = 0;
  #evaluationMs = 0;
  readonly #sources: CounterSources;

  constructor(owner: LaneShare, plan: EpochPlan, sources: CounterSources = {}) {
    this.#owner = owner;
    this.#plan = plan;
    this.#sources = sources;
  }

  /** Counts a step in and answers the progress so far. */
  commit(commit: Commit): TaskProgressFields {
    if (this.#steps === 0) this.#firstLoss = commit.loss;
    this.#loss = commit.loss;
    this.#steps = commit.step + 1;
    this.#samples += commit.ownSamples;
    this.#teacherSamples += commit.teacherSamples;
    this.#teacherWaitMs += commit.teacherWaitMs;
    this.#averagingWaitMs += commit.averagingWaitMs;
    this.#dataWaitMs += commit.dataWaitMs;
    this.#countEpoch(commit);
    return this.#progress('');
  }

  /** Takes in that a checkpoint has been stored, and answers the progress with it. */
  stored(digest: string, epoch: number): TaskProgressFields {
    this.#checkpoint = { digest, epoch };
    return this.#progress('');
  }

  /** Takes in what the look at an epoch's model came to, and answers the progress with it. */
  looked({ bestEpoch, bestAccuracy, tookMs }: Look, stoppedEarly: boolean): TaskProgressFields {
    this.#evaluationMs += tookMs;
    this.#choice = { bestEpoch, bestAccuracy, stoppedEarly };
    return this.#progress('');
  }

  /** The final report, with the digest of the weights that came out. */
  finish(weightsDigest: string): TaskProgressFields {
    return this.#progress(weightsDigest);
  }

  #countEpoch({ step, samples, loss, accuracy }: Commit): void {
    const number = Math.floor(step / this.#plan.stepsPerEpoch) + 1;
    const before = number === this.#epoch.number ? this.#epoch : { samples: 0, loss: 0, right: 0 };
    this.#epoch = {
      number,
      samples: before.samples + samples,
      loss: before.loss + samples * loss,
      right: before.right + samples * accuracy,
    };
    const { steps, stepsPerEpoch } = this.#plan;
    if ((step + 1) % stepsPerEpoch !== 0 && step + 1 !== steps) return;
    const { loss: losses, right, samples: all } = this.#epoch;
    this.#finished = {
      finishedEpoch: number,
      finishedEpochLoss: losses / all,
      finishedEpochAccuracy: right / all,
    };
  }

  #progress(weightsDigest: string): TaskProgressFields {
    const { number, samples, loss, right } = this.#epoch;
    const traffic = this.#sources.averaging?.() ?? NO_TRAFFIC;
    const { bytesReceived, ...logits } = this.#sources.logits?.() ?? NO_LOGITS;
    return {
      step: this.#steps,
      firstLoss: this.#firstLoss,
      loss: this.#loss,
      epoch: number,
      epochs: Math.ceil(this.#plan.steps / this.#plan.stepsPerEpoch),
      epochLoss: samples === 0 ? 0 : loss / samples,
      epochAccuracy: samples === 0 ? 0 : right / samples,
      ...this.#finished,
      checkpointDigest: this.#checkpoint.digest,
      checkpointEpoch: this.#checkpoint.epoch,
      ...this.#choice,
      share: {
        ...this.#owner,
        stepsCommitted: this.#steps,
        samplesCommitted: this.#samples,
        gradientBytesSent: traffic.bytesSent,
        gradientBytesReceived: traffic.bytesReceived,
        teacherSamples: this.#teacherSamples,
        weightsDigest,
        teacherWaitMs: this.#teacherWaitMs,
        averagingWaitMs: this.#averagingWaitMs,
        dataWaitMs: this.#dataWaitMs,
        ...logits,
        logitsBytesReceived: bytesReceived,
        evaluationMs: this.#evaluationMs,
        pid: process.pid,
      },
    };
  }
}
