/** The port between the shard cache and a server: one answer with bytes of a file, from some offset on. */
import { after, unlessAborted } from '../../base/clock.ts';
import { StillhouseError } from '../../base/errors.ts';

export interface Request {
  /** Relative to the source's address. */
  readonly file: string;
  /** The bytes wanted, `to` exclusive; absent: the whole file. */
  readonly range?: { readonly from: number; readonly to: number };
  /** The `version` of an earlier answer: bytes of another one are of no use, the file's beginning is. */
  readonly version?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Answer {
  /** Where the bytes begin: as asked, or 0 from a server without ranges and when the file has changed. */
  readonly from: number;
  /** Whether they go on to the file's end, whatever was asked for. */
  readonly isWhole: boolean;
  readonly version: string | undefined;
  /** Ends early only by throwing. To be read to its end or returned from. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface RemoteSource {
  readonly address: string;
  /** The file's full name, for errors. */
  nameOf(file: string): string;
  /**
   * @throws StillhouseError NOT_FOUND when the file is not there; DATA_LOSS when it ends before the range begins; UNAVAILABLE
   *   when another try may succeed; ABORTED when the file is not of that version any more; FAILED_PRECONDITION when it will not, say without the right to read it
   */
  get(request: Request): Promise<Answer>;
}

/** Aborts when a server has been silent for too long. */
export class SilenceLimit {
  readonly signal: AbortSignal;
  readonly #limitMs: number;
  readonly #silence = new AbortController();
  #stop: () => void;

  constructor(limitMs: number, signal?: AbortSignal) {
    this.#limitMs = limitMs;
    this.signal = signal === undefined ? this.#silence.signal : AbortSignal.any([signal, this.#silence.signal]);
    this.#stop = this.#start();
  }

  /** Something has come. */
  heard(): void {
    this.#stop();
    this.#stop = this.#start();
  }

  /** Nothing more is to come. */
  end(): void {
    this.#stop();
  }

  #start(): () => void {
    const error = new StillhouseError('UNAVAILABLE', `nothing came for ${this.#limitMs / 1000} s`);
    return after(this.#limitMs, () => this.#silence.abort(error));
  }
}

/** Passes the bytes on, within the limit; whatever breaks the connection becomes what `explain` says. */
export async function* limited(
  body: AsyncIterable<Uint8Array>,
  limit: SilenceLimit,
  explain: (cause: unknown) => StillhouseError,
): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  let isOpen = true;
  try {
    for (;;) {
      let next: IteratorResult<Uint8Array>;
      try {
        next = await unlessAborted(chunks.next(), limit.signal);
      } catch (cause) {
        isOpen = limit.signal.aborted;
        throw explain(isOpen ? limit.signal.reason : cause);
      }
      isOpen = next.done !== true;
      if (next.done === true) return;
      limit.heard();
      yield next.value;
    }
  } finally {
    limit.end();
    // Whoever has asked closes the connection of what was aborted.
    if (isOpen && !limit.signal.aborted) await chunks.return?.();
  }
}
