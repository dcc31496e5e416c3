/** Counts what a worker contributes to a training task. */
import type { Commit } from '../distill/training-loop.ts';
import type { TaskProgressFields } from './task-runner.ts';

export interface LaneShare {
  readonly workerId: string;
  readonly firstLane: number;
  readonly lanes: number;
}

export class ShareMeter {
  readonly #owner: LaneShare;
  #firstLoss = 0;
  #loss = 0;
  #steps = 0;
  #samples = 0;
  #teacherSamples = 0;
  #teacherWaitMs = 0;
  #averagingWaitMs = 0;
  #traffic: { bytesSent: number; bytesReceived: number } = { bytesSent: 0, bytesReceived: 0 };

  constructor(owner: LaneShare) {
    this.#owner = owner;
  }

  /** Counts a step in and answers the progress so far. */
  commit(commit: Commit, traffic: { readonly bytesSent: number; readonly bytesReceived: number }): TaskProgressFields {
    if (this.#steps === 0) this.#firstLoss = commit.loss;
    this.#loss = commit.loss;
    this.#steps = commit.step + 1;
    this.#samples += commit.ownSamples;
    this.#teacherSamples += commit.teacherSamples;
    this.#teacherWaitMs += commit.teacherWaitMs;
    this.#averagingWaitMs += commit.averagingWaitMs;
    this.#traffic = { ...traffic };
    return this.#progress('');
  }

  /** The final report, with the digest of the weights that came out. */
  finish(weightsDigest: string): TaskProgressFields {
    return this.#progress(weightsDigest);
  }

  #progress(weightsDigest: string): TaskProgressFields {
    return {
      step: this.#steps,
      firstLoss: this.#firstLoss,
      loss: this.#loss,
      share: {
        ...this.#owner,
        stepsCommitted: this.#steps,
        samplesCommitted: this.#samples,
        gradientBytesSent: this.#traffic.bytesSent,
        gradientBytesReceived: this.#traffic.bytesReceived,
        teacherSamples: this.#teacherSamples,
        weightsDigest,
        teacherWaitMs: this.#teacherWaitMs,
        averagingWaitMs: this.#averagingWaitMs,
        pid: process.pid,
      },
    };
  }
}
