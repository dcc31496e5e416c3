/** Replies as they were sent, for batches that are asked for again: a step that is run again trains on the same bits. */

export interface RecordedReply {
  /** See `contentOf`: a reply to another batch under the same key is none. */
  readonly content: string;
  readonly values: Uint8Array;
}

/** What an entry takes beside its values, roughly. */
const ENTRY_BYTES = 256;

/** Drops what has not been asked for the longest. */
export class RecordedReplies {
  readonly #bytesMax: number;
  /** The latest used last. */
  readonly #replies = new Map<string, RecordedReply>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Undefined for a batch of other content, too. */
  get(name: string, content: () => string): Uint8Array | undefined {
    const reply = this.#replies.get(name);
    if (reply === undefined || reply.content !== content()) return undefined;
    this.#replies.delete(name);
    this.#replies.set(name, reply);
    return reply.values;
  }

  keep(name: string, reply: RecordedReply): void {
    this.#drop(name);
    this.#replies.set(name, reply);
    this.#bytes += reply.values.byteLength + ENTRY_BYTES;
    for (const oldest of this.#replies.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#drop(oldest);
    }
  }

  /** All whose names begin so. */
  forget(prefix: string): void {
    for (const name of [...this.#replies.keys()]) if (name.startsWith(prefix)) this.#drop(name);
  }

  #drop(name: string): void {
    const reply = this.#replies.get(name);
    if (reply === undefined) return;
    this.#replies.delete(name);
    this.#bytes -= reply.values.byteLength + ENTRY_BYTES;
  }
}
