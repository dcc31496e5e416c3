/** The key-value port in memory: same promises as the JetStream adapter, for tests. */
import type { KeyValue, KeyValueEntry, KeyValueWatcher } from './kv.ts';
import { keyExists, revisionConflict } from './kv.ts';

export class MemoryKeyValue implements KeyValue {
  readonly #bucket: string;
  readonly #history: number;
  readonly #entries = new Map<string, KeyValueEntry[]>();
  readonly #watchers = new Set<KeyValueWatcher>();
  #revision = 0;

  constructor(bucket: string, { history = 1 }: { history?: number } = {}) {
    this.#bucket = bucket;
    this.#history = history;
  }

  async get(key: string): Promise<KeyValueEntry | undefined> {
    return this.#entries.get(key)?.at(-1);
  }

  async create(key: string, value: Uint8Array): Promise<number> {
    if (this.#entries.has(key)) throw keyExists(this.#bucket, key);
    return this.#write(key, value);
  }

  async update(key: string, value: Uint8Array, expectedRevision: number): Promise<number> {
    if (this.#entries.get(key)?.at(-1)?.revision !== expectedRevision) throw revisionConflict(this.#bucket, key);
    return this.#write(key, value);
  }

  async keys(): Promise<string[]> {
    return [...this.#entries.keys()].sort();
  }

  async history(key: string): Promise<KeyValueEntry[]> {
    return [...(this.#entries.get(key) ?? [])];
  }

  async watch(onEntry: KeyValueWatcher): Promise<() => void> {
    for (const [key, entries] of this.#entries) {
      const last = entries.at(-1);
      if (last !== undefined) onEntry(key, last.value, last.revision);
    }
    this.#watchers.add(onEntry);
    return () => this.#watchers.delete(onEntry);
  }

  #write(key: string, value: Uint8Array): number {
    const entry = { value: value.slice(), revision: ++this.#revision };
    this.#entries.set(key, [...(this.#entries.get(key) ?? []), entry].slice(-this.#history));
    for (const watcher of this.#watchers) queueMicrotask(() => watcher(key, entry.value, entry.revision));
    return entry.revision;
  }
}
