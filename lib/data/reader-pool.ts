/** Reader threads: they read, decode and augment beside the calling thread, as far ahead as memory is allowed for. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { StillhouseError } from '../base/errors.ts';
import { threadEntry } from '../base/thread-entry.ts';
import { errorOf } from '../base/thread-failure.ts';
import { takeIdleRoom } from './image-room.ts';
import type { ReadRequest, ThreadReply, ThreadRequest } from './read-request.ts';

/** Bytes of images that threads are at work on or have lying ready; one request may be larger by itself. */
const MAX_BYTES = 256 * 2 ** 20;
/** Requests that a thread has at a time: it goes on with the next while the answer to the last one is on its way. */
const REQUESTS_PER_THREAD = 2;

interface Waiting {
  readonly request: ReadRequest;
  readonly bytes: number;
  readonly resolve: (images: Float32Array) => void;
  readonly reject: (error: StillhouseError) => void;
}

interface Thread {
  readonly worker: Worker;
  /** What it is at, by number. */
  readonly asked: Map<number, Waiting>;
}

export class ReaderPool {
  readonly #size: number;
  readonly #threads = new Set<Thread>();
  /** In the order in which they were made. */
  readonly #queue: Waiting[] = [];
  #bytes = 0;
  #numbers = 0;
  #closed: StillhouseError | undefined;
  #decoder: Promise<unknown> | undefined;

  /** Threads start with the first requests. */
  constructor(size: number) {
    this.#size = size;
  }

  /**
   * Images, as `ImageReader.read` answers them. Requests are begun in the order in which they are made.
   * @throws what `ImageReader.read` throws; UNAVAILABLE when the thread that reads ends; CANCELLED once the pool is closed
   */
  async read(request: ReadRequest): Promise<Float32Array> {
    // The library that decodes must be loaded here before it is in a thread, or it is unloaded with the first thread that ends.
    if (request.files.some(({ layout }) => layout.kind === 'encoded')) this.#decoder ??= import('./decode-image.ts');
    await this.#decoder;
    if (this.#closed !== undefined) throw this.#closed;
    const { height, width, channels } = request.image;
    // Partners are images of their own until they are mixed in.
    const images = request.samples.ids.length * (request.view?.partners ? 2 : 1);
    const bytes = images * height * width * channels * Float32Array.BYTES_PER_ELEMENT;
    return await new Promise((resolve, reject) => {
      this.#queue.push({ request, bytes, resolve, reject });
      this.#dispatch();
    });
  }

  /** Ends the threads; what is still asked of them fails with `reason`. */
  async close(reason: StillhouseError): Promise<void> {
    this.#closed ??= reason;
    const threads = [...this.#threads];
    for (const { reject } of this.#queue.splice(0)) reject(reason);
    for (const thread of threads) this.#drop(thread, reason);
    await Promise.all(threads.map(({ worker }) => worker.terminate()));
  }

  #dispatch(): void {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (this.#bytes > 0 && this.#bytes + next.bytes > MAX_BYTES) return;
      const thread = this.#freeThread();
      if (thread === undefined) return;
      this.#queue.shift();
      this.#bytes += next.bytes;
      const number = this.#numbers++;
      thread.asked.set(number, next);
      // A process may end while its threads wait for requests, but not before they have answered one.
      thread.worker.ref();
      const room = takeIdleRoom(next.bytes / Float32Array.BYTES_PER_ELEMENT);
      const message: ThreadRequest = { number, request: next.request, room };
      thread.worker.postMessage(message, room === undefined ? [] : [room.buffer]);
    }
  }

  /** The one with the least to do; a new one where all are busy and there may be more. */
  #freeThread(): Thread | undefined {
    const byWork = [...this.#threads].sort((one, other) => one.asked.size - other.asked.size);
    const idlest = byWork[0];
    if (idlest?.asked.size === 0) return idlest;
    if (this.#threads.size < this.#size) return this.#start();
    return idlest !== undefined && idlest.asked.size < REQUESTS_PER_THREAD ? idlest : undefined;
  }

  #start(): Thread {
    const extension = extname(new URL(import.meta.url).pathname);
    const entry = threadEntry(new URL(`./reader-thread${extension}`, import.meta.url));
    const worker = new Worker(entry);
    const thread: Thread = { worker, asked: new Map() };
    worker.on('message', (reply: ThreadReply) => this.#settle(thread, reply));
    worker.on('error', (error) => this.#fail(thread, error));
    worker.on('exit', (code) => this.#fail(thread, new Error(`exit code ${code}`)));
    this.#threads.add(thread);
    return thread;
  }

  #settle(thread: Thread, { number, images, failure }: ThreadReply): void {
    const waiting = thread.asked.get(number);
    if (waiting === undefined) return;
    thread.asked.delete(number);
    this.#bytes -= waiting.bytes;
    if (thread.asked.size === 0) thread.worker.unref();
    if (failure !== undefined) waiting.reject(errorOf(failure));
    else waiting.resolve(images as Float32Array);
    this.#dispatch();
  }

  /** What the thread was asked fails; the next requests start another one. */
  #fail(thread: Thread, cause: unknown): void {
    if (!this.#threads.has(thread)) return;
    const reason = cause instanceof Error ? cause.message : String(cause);
    this.#drop(
      thread,
      new StillhouseError('UNAVAILABLE', `a thread that reads images has ended: ${reason}`, {
        hint: 'read again; if it ends again, read in fewer threads (STILLHOUSE_DATA_THREADS) or look for the memory it lacks',
        cause,
      }),
    );
    this.#dispatch();
  }

  #drop(thread: Thread, reason: StillhouseError): void {
    this.#threads.delete(thread);
    for (const { bytes, reject } of thread.asked.values()) {
      this.#bytes -= bytes;
      reject(reason);
    }
    thread.asked.clear();
  }
}
