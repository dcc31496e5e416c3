/** All jobs: in memory, and in `still_jobs` as of their last change of state. */
import { sleep, wallClockIso } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Logger } from '../../lib/base/log.ts';
import type { KeyValue } from '../../lib/wire/kv.ts';
import { decodeJob, encodeJob, endedJob, type JobRecord } from './job-record.ts';
import { deposed } from './leader.ts';

const RETRY_MS = 500;
const RESTARTED = 'the coordinator was restarted while the job ran; submit it again';

interface Entry {
  record: JobRecord;
  /** Of the key, as of the last write. */
  kvRevision: number;
  /** The record to be written next. */
  unsaved: JobRecord | undefined;
  saving: Promise<void> | undefined;
}

export class JobStore {
  readonly #bucket: KeyValue;
  readonly #logger: Logger;
  readonly #onFatal: (error: StillhouseError) => void;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<(job: JobRecord) => void>();

  /** @param onFatal called when another coordinator turns out to write these records */
  constructor(bucket: KeyValue, logger: Logger, onFatal: (error: StillhouseError) => void) {
    this.#bucket = bucket;
    this.#logger = logger;
    this.#onFatal = onFatal;
  }

  /** Reads all jobs. Those that ran when the coordinator before this one ended have failed. */
  async load(): Promise<void> {
    for (const key of await this.#bucket.keys()) {
      const entry = await this.#bucket.get(key);
      if (entry === undefined) continue;
      let record: JobRecord;
      try {
        record = decodeJob(entry.value, `job ${key}`);
      } catch (error) {
        // The other jobs are none the worse for it.
        this.#logger.error({ err: error, jobId: key }, 'a job cannot be read and is left out');
        continue;
      }
      this.#entries.set(key, { record, kvRevision: entry.revision, unsaved: undefined, saving: undefined });
      if (record.state === 'RUNNING') {
        const failed = endedJob(record, 'FAILED', RESTARTED, wallClockIso());
        this.put({ ...failed, revision: record.revision + 1 }, true);
      }
    }
  }

  get(id: string): JobRecord | undefined {
    return this.#entries.get(id)?.record;
  }

  /** Newest first. */
  list(): JobRecord[] {
    return [...this.#entries.values()].map(({ record }) => record).sort((one, other) => other.sequence - one.sequence);
  }

  nextSequence(): number {
    return (this.list()[0]?.sequence ?? 0) + 1;
  }

  /** Resolves when the job is in the bucket: from then on it is not forgotten. */
  async create(record: JobRecord): Promise<void> {
    const kvRevision = await this.#bucket.create(record.id, encodeJob(record));
    this.#entries.set(record.id, { record, kvRevision, unsaved: undefined, saving: undefined });
    this.#tell(record);
  }

  /** Replaces the job's record, at once in memory; with `save`, soon in the bucket as well. */
  put(record: JobRecord, save: boolean): void {
    const entry = this.#entries.get(record.id);
    if (entry === undefined) throw new StillhouseError('INTERNAL', `job ${record.id} was never created`);
    entry.record = record;
    if (save) {
      entry.unsaved = record;
      entry.saving ??= this.#save(record.id, entry).finally(() => {
        entry.saving = undefined;
      });
    }
    this.#tell(record);
  }

  /** Calls `listener` with every new state of any job. */
  onChange(listener: (job: JobRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when all is in the bucket, at the latest after `limitMs`: NATS may be gone. */
  async flush(limitMs: number): Promise<void> {
    const saving = Promise.all([...this.#entries.values()].map((entry) => entry.saving));
    const limit = new AbortController();
    await Promise.race([saving, sleep(limitMs, limit.signal).catch(() => undefined)]);
    limit.abort();
  }

  /** Writes until the latest is in; NATS may be away meanwhile. */
  async #save(id: string, entry: Entry): Promise<void> {
    while (entry.unsaved !== undefined) {
      const record = entry.unsaved;
      entry.unsaved = undefined;
      try {
        entry.kvRevision = await this.#bucket.update(id, encodeJob(record), entry.kvRevision);
      } catch (error) {
        if (await this.#isOverwritten(id, entry, record, StillhouseError.from(error))) return;
      }
    }
  }

  /** After a failed write: whether someone else has written the key. Waits where trying again may help. */
  async #isOverwritten(id: string, entry: Entry, record: JobRecord, error: StillhouseError): Promise<boolean> {
    try {
      if (error.code === 'ABORTED') {
        const current = await this.#bucket.get(id);
        // A write whose acknowledgement was lost looks like a lost race the second time: then the value there is ours.
        if (current !== undefined && Buffer.compare(current.value, encodeJob(record)) === 0) {
          entry.kvRevision = current.revision;
          return false;
        }
        this.#onFatal(deposed());
        return true;
      }
    } catch (readError) {
      error = StillhouseError.from(readError);
    }
    this.#logger.warn({ jobId: id, reason: error.message }, 'a job could not be written; trying again');
    entry.unsaved ??= record;
    await sleep(RETRY_MS);
    return false;
  }

  #tell(job: JobRecord): void {
    for (const listener of this.#listeners) listener(job);
  }
}
