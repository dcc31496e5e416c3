/** Averaging over the bus: performs the effects of the rounds' state machine and feeds it what arrives. */
import { every, monotonicMs } from '../base/clock.ts';
import { bytesOf } from '../base/digest.ts';
import { StillhouseError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { divergence } from '../distill/divergence.ts';
import type { Averager, LaneSums } from '../distill/training-loop.ts';
import {
  type GradientChunk,
  type ResendRequest,
  Round,
  type RoundEffect,
  type RoundMember,
} from '../gradient/round.ts';
import type { Bus } from './bus.ts';
import { decodeFrame, encodeFrame, type Frame, FrameKind, payloadFloats } from './frame.ts';
import { averageSubject, controlSubject, gradientSubject } from './subjects.ts';

export interface BusAveragerOptions {
  readonly bus: Bus;
  readonly jobId: string;
  readonly leaderEpoch: number;
  /** Number of the view: frames of others are dropped. */
  readonly view: number;
  readonly members: readonly RoundMember[];
  /** Position of this worker in `members`. */
  readonly self: number;
  readonly vectorSize: number;
  /** Largest payload of one frame. */
  readonly chunkBytes: number;
  /** What is missing is asked for again after this long without any progress. */
  readonly stallTimeoutMs: number;
  readonly logger: Logger;
}

export interface Traffic {
  bytesSent: number;
  bytesReceived: number;
  /** Frames that were dropped because they did not match their checksum. */
  corruptFrames: number;
  /** Times that something missing was asked for again. */
  resendRequests: number;
}

const ResendKind = { 'resend-sums': 1, 'resend-mean': 2 } as const;

interface Pending {
  readonly resolve: (mean: Float32Array) => void;
  readonly reject: (error: StillhouseError) => void;
}

export class BusAverager implements Averager {
  readonly traffic: Traffic = { bytesSent: 0, bytesReceived: 0, corruptFrames: 0, resendRequests: 0 };
  readonly #options: BusAveragerOptions;
  readonly #round: Round;
  /** What is not needed once all steps are averaged. */
  readonly #stopHearing: (() => void)[];
  readonly #stopAnswering: (() => void)[];
  #pending: Pending | undefined;
  #closed: StillhouseError | undefined;
  #lastProgressMs = monotonicMs();

  /** Subscribes at once; flush the bus before telling anyone that this worker is ready. */
  constructor(options: BusAveragerOptions) {
    this.#options = options;
    const { bus, jobId, members, self, vectorSize, chunkBytes, stallTimeoutMs } = options;
    const chunkSize = Math.max(1, Math.floor(chunkBytes / Float32Array.BYTES_PER_ELEMENT));
    this.#round = new Round({ members, self, vectorSize, chunkSize });
    const id = (members[self] as RoundMember).id;
    const onMessage = (payload: Uint8Array) => this.#receive(payload);
    this.#stopHearing = [
      bus.subscribe(gradientSubject(jobId, id), onMessage),
      bus.subscribe(averageSubject(jobId), onMessage),
      every(stallTimeoutMs / 2, () => this.#checkStall()),
    ];
    this.#stopAnswering = [bus.subscribe(controlSubject(jobId, id), onMessage)];
  }

  average(step: number, sums: readonly LaneSums[]): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) {
        reject(this.#closed);
        return;
      }
      if (step !== this.#round.step) {
        reject(new StillhouseError('INTERNAL', `step ${step} is averaged, but ${this.#round.step} is due`));
        return;
      }
      this.#pending = { resolve, reject };
      this.#lastProgressMs = monotonicMs();
      this.#perform(this.#round.localSums(sums));
    });
  }

  /** All steps are averaged. Those that missed this worker's last part are still answered; the job's later averages pass it by. */
  finish(): void {
    for (const release of this.#stopHearing.splice(0)) release();
  }

  /**
   * Stops listening and rejects what is awaited now and later. Until then a finished worker still answers those that missed its last
   * part, so close it only when the others have finished too, or their training is given up.
   */
  close(reason: StillhouseError): void {
    this.#closed ??= reason;
    this.finish();
    for (const release of this.#stopAnswering.splice(0)) release();
    this.#pending?.reject(reason);
    this.#pending = undefined;
  }

  #receive(message: Uint8Array): void {
    let event: IncomingEvent | undefined;
    try {
      event = this.#read(decodeFrame(message));
    } catch (error) {
      // As good as lost: whoever misses it asks for it again.
      this.traffic.corruptFrames += 1;
      this.#options.logger.warn({ err: error }, 'dropped a damaged frame');
      return;
    }
    if (event === undefined) return;
    this.traffic.bytesReceived += message.byteLength;
    if (event.type === 'resend') {
      this.#perform(this.#round.resend(event.request));
      return;
    }
    this.#lastProgressMs = monotonicMs();
    this.#perform(this.#round.chunk(event.chunk));
  }

  /** Undefined for a frame that is not meant for this view. @throws DATA_LOSS when its content cannot be meant */
  #read(frame: Frame): IncomingEvent | undefined {
    const { view, leaderEpoch, members, self } = this.#options;
    if (frame.view !== view || frame.leaderEpoch !== leaderEpoch) return undefined;
    if (frame.part >= members.length) throw senseless(`part ${frame.part} of ${members.length}`);
    if (frame.kind === FrameKind.resend) {
      const request = resendOf(frame);
      if (request.from >= members.length || request.from === self) throw senseless(`a request from ${request.from}`);
      return { type: 'resend', request };
    }
    return { type: 'chunk', chunk: chunkOf(frame) };
  }

  #perform(effects: readonly RoundEffect[]): void {
    for (const effect of effects) this.#performOne(effect);
  }

  #performOne(effect: RoundEffect): void {
    const { jobId, members } = this.#options;
    if (effect.type === 'commit') {
      const pending = this.#pending;
      this.#pending = undefined;
      pending?.resolve(effect.mean);
    } else if (effect.type === 'diverged') {
      this.#pending?.reject(divergence(effect.step));
      this.#pending = undefined;
    } else if (effect.type === 'publish') {
      this.#publish(averageSubject(jobId), this.#frameOf(effect.chunk));
    } else {
      const to = (members[effect.to] as RoundMember).id;
      if (effect.type === 'ask') this.#publish(controlSubject(jobId, to), this.#resendFrame(effect.request));
      // A mean that is sent again goes to the one who asked, where its sums would go too.
      else this.#publish(gradientSubject(jobId, to), this.#frameOf(effect.chunk));
    }
  }

  #publish(subject: string, message: Uint8Array): void {
    this.traffic.bytesSent += message.byteLength;
    this.#options.bus.publish(subject, message);
  }

  #frameOf(chunk: GradientChunk): Uint8Array {
    return encodeFrame(
      {
        kind: chunk.kind === 'sums' ? FrameKind.partialSum : FrameKind.average,
        leaderEpoch: this.#options.leaderEpoch,
        view: this.#options.view,
        step: chunk.step,
        part: chunk.part,
        firstLane: chunk.node.firstLane,
        lanes: chunk.node.lanes,
        chunk: chunk.chunk,
        chunks: chunk.chunks,
        samples: chunk.samples,
      },
      bytesOf(chunk.values),
    );
  }

  #resendFrame({ kind, step, part, from }: ResendRequest): Uint8Array {
    const { leaderEpoch, view } = this.#options;
    const header = { kind: FrameKind.resend, leaderEpoch, view, step, part };
    const payload = bytesOf(Uint32Array.of(ResendKind[kind], from));
    return encodeFrame({ ...header, firstLane: 0, lanes: 0, chunk: 0, chunks: 1, samples: 0 }, payload);
  }

  #checkStall(): void {
    if (this.#pending === undefined) return;
    if (monotonicMs() - this.#lastProgressMs < this.#options.stallTimeoutMs) return;
    this.#lastProgressMs = monotonicMs();
    this.traffic.resendRequests += 1;
    this.#options.logger.debug({ step: this.#round.step }, 'no progress in averaging; asking for what is missing');
    this.#perform(this.#round.stalled());
  }
}

type IncomingEvent =
  | { readonly type: 'chunk'; readonly chunk: GradientChunk }
  | { readonly type: 'resend'; readonly request: ResendRequest };

function chunkOf(frame: Frame): GradientChunk {
  const { step, part, firstLane, lanes, chunk, chunks, samples } = frame;
  const isSums = frame.kind === FrameKind.partialSum;
  if (!isSums && frame.kind !== FrameKind.average) throw senseless(`a frame of kind ${frame.kind}`);
  const kind = isSums ? 'sums' : 'mean';
  return { kind, step, part, node: { firstLane, lanes }, chunk, chunks, samples, values: payloadFloats(frame.payload) };
}

/** The payload: which kind is asked for, and by whom, as two u32. */
function resendOf({ step, part, payload }: Frame): ResendRequest {
  if (payload.byteLength !== 2 * Uint32Array.BYTES_PER_ELEMENT)
    throw senseless(`${payload.byteLength} bytes of request`);
  const words = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const asked = words.getUint32(0, true);
  const kind = (['resend-sums', 'resend-mean'] as const).find((name) => ResendKind[name] === asked);
  if (kind === undefined) throw senseless(`a request of kind ${asked}`);
  return { kind, step, part, from: words.getUint32(4, true) };
}

function senseless(what: string): StillhouseError {
  return new StillhouseError('DATA_LOSS', `a frame holds ${what}`);
}
