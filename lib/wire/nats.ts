/** The NATS adapter of the bus, key-value and object store ports: the only file that imports the package `nats`. */
import {
  type ConnectionOptions,
  connect,
  ErrorCode,
  Events,
  type JetStreamClient,
  type KV,
  type KvEntry,
  type NatsConnection,
  NatsError,
  type ObjectStore as NatsObjectStore,
  StorageType,
} from 'nats';
import { monotonicMs, sleep, withTimeout } from '../base/clock.ts';
import { digestHex, sha256InPieces } from '../base/digest.ts';
import { StillhouseError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { ObjectStore } from '../checkpoint/store.ts';
import { type Bus, payloadTooLarge } from './bus.ts';
import { decodeKey, encodeKey, type KeyValue, type KeyValueEntry, keyExists, revisionConflict } from './kv.ts';
import { parseNatsServers } from './nats-address.ts';
import { BUCKET_HISTORY, BUCKETS } from './subjects.ts';

export interface NatsOptions {
  /** `nats://[user:password@]host:port`, several separated by commas. */
  readonly servers: string;
  /** Shown in the server's list of connections. */
  readonly name: string;
  readonly logger: Logger;
  /** Time for the first connection, retries included; default 10 s. A connection that is lost later is retried forever. */
  readonly timeoutMs?: number;
  /** Gives the first connection up; it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Copies of each stream: 1 on one server, 3 on a cluster. Default 1. */
  readonly replicas?: number;
}

export interface Nats {
  readonly bus: Bus;
  /** Whether the connection stands now. */
  readonly connected: boolean;
  /** The bucket, made when it is missing. `history`: revisions kept per key, by default as the bucket's name says. */
  keyValue(bucket: string, options?: { history?: number }): Promise<KeyValue>;
  /** The bucket `still_objects`, made when it is missing. */
  objects(): Promise<ObjectStore>;
  /** Called whenever the connection is lost; the returned function ends that. */
  onDisconnect(listener: () => void): () => void;
  /** Called whenever a lost connection stands again; subscriptions stand again too. */
  onReconnect(listener: () => void): () => void;
  /** Sends what is pending, then disconnects. */
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 10_000;
const CONNECT_TRY_MS = 2_000;
const CONNECT_RETRY_MS = 200;
const REQUEST_TIMEOUT_MS = 5_000;
/** For a whole object. */
const OBJECT_TIMEOUT_MS = 120_000;
/** Buckets made by others may start with history 1 only. */
const DEFAULT_HISTORY = 1;
/** JetStream's code for a compare-and-set that lost. */
const WRONG_LAST_SEQUENCE = 10071;

/** UNAVAILABLE, in one line, when no server answers within the time. */
export async function connectNats(options: NatsOptions): Promise<Nats> {
  const connection = await connectWithin(options);
  const jetstream = connection.jetstream({ timeout: REQUEST_TIMEOUT_MS });
  const replicas = options.replicas ?? 1;
  const watch = watchConnection(connection, options.logger);
  return {
    bus: createBus(connection, watch, options.logger),
    get connected() {
      return watch.connected;
    },
    keyValue: (bucket, { history } = {}) => openBucket(jetstream, bucket, history ?? historyOf(bucket), replicas),
    objects: () => openObjects(jetstream, replicas),
    onDisconnect: (listener) => subscribeTo(watch.onDisconnect, listener),
    onReconnect: (listener) => subscribeTo(watch.onReconnect, listener),
    close: async () => {
      watch.closing = true;
      if (connection.isClosed()) return;
      // Draining waits for a server that may be gone.
      if (watch.connected) await connection.drain();
      else await connection.close();
    },
  };
}

function historyOf(bucket: string): number {
  for (const [name, full] of Object.entries(BUCKETS)) {
    if (full === bucket && name !== 'objects') return BUCKET_HISTORY[name as keyof typeof BUCKET_HISTORY];
  }
  return DEFAULT_HISTORY;
}

async function connectWithin(options: NatsOptions): Promise<NatsConnection> {
  const timeoutMs = options.timeoutMs ?? CONNECT_TIMEOUT_MS;
  const deadline = monotonicMs() + timeoutMs;
  const { servers, shown, user, pass } = parseNatsServers(options.servers);
  const connectionOptions: ConnectionOptions = {
    servers,
    name: options.name,
    noEcho: true,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 100,
    pingInterval: 2_000,
    maxPingOut: 3,
    ...(user === undefined ? {} : { user }),
    ...(pass === undefined ? {} : { pass }),
  };
  for (;;) {
    const leftMs = Math.max(1, deadline - monotonicMs());
    try {
      return await connect({ ...connectionOptions, timeout: Math.min(leftMs, CONNECT_TRY_MS) });
    } catch (error) {
      if (monotonicMs() + CONNECT_RETRY_MS < deadline && isTransient(error)) {
        await sleep(CONNECT_RETRY_MS, options.signal);
        continue;
      }
      throw new StillhouseError('UNAVAILABLE', `no NATS server answers at ${shown}: ${(error as Error).message}`, {
        field: 'NATS_URL',
        hint: 'start nats-server with JetStream (-js), or correct NATS_URL',
        cause: error,
      });
    }
  }
}

function isTransient(error: unknown): boolean {
  const code = (error as { code?: string }).code;
  return code === ErrorCode.ConnectionRefused || code === ErrorCode.ConnectionTimeout || code === ErrorCode.Timeout;
}

interface ConnectionWatch {
  connected: boolean;
  closing: boolean;
  readonly onDisconnect: Set<() => void>;
  readonly onReconnect: Set<() => void>;
}

function watchConnection(connection: NatsConnection, logger: Logger): ConnectionWatch {
  const watch: ConnectionWatch = { connected: true, closing: false, onDisconnect: new Set(), onReconnect: new Set() };
  const follow = async () => {
    for await (const status of connection.status()) {
      if (status.type === Events.Disconnect) {
        watch.connected = false;
        if (!watch.closing) logger.warn({ server: status.data }, 'the connection to NATS is lost; reconnecting');
        for (const listener of watch.onDisconnect) listener();
      } else if (status.type === Events.Reconnect) {
        watch.connected = true;
        logger.info({ server: status.data }, 'reconnected to NATS');
        for (const listener of watch.onReconnect) listener();
      } else if (status.type === Events.Error) {
        logger.warn({ reason: status.data }, 'NATS reports an error');
      }
    }
    watch.connected = false;
  };
  follow().catch((error) => logger.error({ err: error }, 'lost track of the NATS connection'));
  return watch;
}

function subscribeTo(listeners: Set<() => void>, listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function createBus(connection: NatsConnection, watch: ConnectionWatch, logger: Logger): Bus {
  const maxPayloadBytes = connection.info?.max_payload ?? 1024 * 1024;
  return {
    maxPayloadBytes,
    publish: (subject, payload) => {
      if (payload.byteLength > maxPayloadBytes) throw payloadTooLarge(payload.byteLength, maxPayloadBytes);
      // The package would keep it in unbounded memory until it is connected again.
      if (!watch.connected || connection.isClosed()) return;
      connection.publish(subject, payload);
    },
    subscribe: (subject, handler) => {
      const subscription = connection.subscribe(subject, {
        callback: (error, message) => {
          if (error !== null) {
            logger.error({ err: error, subject }, 'a subscription failed');
            return;
          }
          try {
            handler(message.data, message.subject);
          } catch (thrown) {
            // The package would swallow it: a bug in a handler must end the process, as it does elsewhere.
            queueMicrotask(() => {
              throw thrown;
            });
          }
        },
      });
      return () => {
        if (!connection.isClosed()) subscription.unsubscribe();
      };
    },
    flush: () => connection.flush().catch((error) => Promise.reject(natsError(error, 'flushing the bus'))),
  };
}

async function openBucket(
  jetstream: JetStreamClient,
  bucket: string,
  history: number,
  replicas: number,
): Promise<KeyValue> {
  const kv = await naming(`opening the bucket ${bucket}`, () =>
    jetstream.views.kv(bucket, { history, replicas, storage: StorageType.File }),
  );
  return {
    get: (key) => naming(`reading ${key} of ${bucket}`, async () => liveEntry(await kv.get(encodeKey(key)))),
    create: (key, value) =>
      naming(
        `creating ${key} in ${bucket}`,
        () => kv.create(encodeKey(key), value),
        (error) => (isConflict(error) ? keyExists(bucket, key, error) : undefined),
      ),
    update: (key, value, expectedRevision) =>
      naming(
        `writing ${key} in ${bucket}`,
        async () => {
          // 0 is no revision: nothing can be updated from there.
          if (expectedRevision <= 0) throw revisionConflict(bucket, key);
          return await kv.update(encodeKey(key), value, expectedRevision);
        },
        (error) => (isConflict(error) ? revisionConflict(bucket, key, error) : undefined),
      ),
    keys: () => naming(`listing ${bucket}`, () => collectKeys(kv)),
    history: (key) => naming(`reading the history of ${key} in ${bucket}`, () => collectHistory(kv, key)),
    watch: (onEntry) => naming(`watching ${bucket}`, () => watchBucket(kv, onEntry)),
  };
}

function liveEntry(entry: KvEntry | null): KeyValueEntry | undefined {
  return entry === null || entry.operation !== 'PUT' ? undefined : { value: entry.value, revision: entry.revision };
}

async function collectKeys(kv: KV): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of await kv.keys()) keys.push(decodeKey(key));
  return keys.sort();
}

async function collectHistory(kv: KV, key: string): Promise<KeyValueEntry[]> {
  const entries: KeyValueEntry[] = [];
  for await (const entry of await kv.history({ key: encodeKey(key) })) {
    const live = liveEntry(entry);
    if (live !== undefined) entries.push(live);
  }
  return entries;
}

async function watchBucket(kv: KV, onEntry: Parameters<KeyValue['watch']>[0]): Promise<() => void> {
  let told = () => {};
  const initialised = new Promise<void>((resolve) => {
    told = resolve;
  });
  const entries = await kv.watch({ initializedFn: () => told() });
  const follow = async () => {
    for await (const entry of entries) onEntry(decodeKey(entry.key), liveEntry(entry)?.value, entry.revision);
  };
  // A handler that throws is a bug of ours, a watch that fails is lost state: both end the process.
  follow().catch((error) =>
    queueMicrotask(() => {
      throw natsError(error, 'watching a bucket');
    }),
  );
  await initialised;
  return () => entries.stop();
}

async function openObjects(jetstream: JetStreamClient, replicas: number): Promise<ObjectStore> {
  const bucket = BUCKETS.objects;
  // The package reads `replicas` but also copies its options into the stream's configuration, where newer servers refuse
  // a field of that name: a property that is not enumerable is read and not copied.
  const options = Object.defineProperty({ storage: StorageType.File }, 'replicas', { value: replicas });
  const store = await naming(`opening the object store ${bucket}`, () => jetstream.views.os(bucket, options));
  return {
    put: async (bytes) => {
      const digest = await sha256InPieces(bytes);
      await naming(`storing ${digest}`, async () => {
        if (!(await isStored(store, digest))) await store.putBlob({ name: digestHex(digest) }, bytes);
      });
      return digest;
    },
    get: async (digest) => {
      const bytes = await naming(`reading ${digest}`, () => readWithin(store, digest));
      if (bytes === null) {
        throw new StillhouseError('NOT_FOUND', `the object ${digest} is not in ${bucket}`, { field: digest });
      }
      if ((await sha256InPieces(bytes)) !== digest) {
        throw new StillhouseError('DATA_LOSS', `the object ${digest} in ${bucket} has changed since it was stored`);
      }
      return bytes;
    },
    has: (digest) => naming(`looking for ${digest}`, () => isStored(store, digest)),
  };
}

/** An object whose chunks are gone would be waited for without end. */
function readWithin(store: NatsObjectStore, digest: string): Promise<Uint8Array | null> {
  return withTimeout(
    store.getBlob(digestHex(digest)),
    OBJECT_TIMEOUT_MS,
    () => new StillhouseError('UNAVAILABLE', `the object ${digest} did not arrive within ${OBJECT_TIMEOUT_MS} ms`),
  );
}

async function isStored(store: NatsObjectStore, digest: string): Promise<boolean> {
  const info = await store.info(digestHex(digest));
  return info !== null && !info.deleted;
}

function isConflict(error: unknown): boolean {
  return error instanceof NatsError && error.api_error?.err_code === WRONG_LAST_SEQUENCE;
}

/** Runs one operation on JetStream and normalises its errors, naming what was attempted. */
async function naming<T>(
  attempt: string,
  work: () => Promise<T>,
  translate: (error: unknown) => StillhouseError | undefined = () => undefined,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw translate(error) ?? natsError(error, attempt);
  }
}

function natsError(error: unknown, attempt: string): StillhouseError {
  if (!(error instanceof NatsError)) return StillhouseError.from(error, attempt);
  if (error.code === ErrorCode.NoResponders || error.code === ErrorCode.JetStreamNotEnabled) {
    return new StillhouseError('FAILED_PRECONDITION', `${attempt}: JetStream is not enabled on the NATS server`, {
      hint: 'start nats-server with -js',
      cause: error,
    });
  }
  return new StillhouseError('UNAVAILABLE', `${attempt}: NATS does not answer as expected: ${error.message}`, {
    hint: 'check that nats-server runs and has space left',
    cause: error,
  });
}
