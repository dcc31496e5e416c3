/** The Attend streams of workers: who is attached, messages to and from them. */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Logger } from '../../lib/base/log.ts';
import type { CoordinatorMessage } from '../../lib/wire/generated/stillhouse/v1/CoordinatorMessage.ts';
import type { Hello__Output } from '../../lib/wire/generated/stillhouse/v1/Hello.ts';
import type { WorkerMessage__Output } from '../../lib/wire/generated/stillhouse/v1/WorkerMessage.ts';
import type { Implementation } from '../../lib/wire/grpc.ts';
import { subjectToken } from '../../lib/wire/subjects.ts';
import type { ClusterWorker } from './job-events.ts';
import type { AttachedWorker } from './membership.ts';

export interface SessionEvents {
  onAttach(worker: AttachedWorker): void;
  onDetach(workerId: string, reason: string): void;
  onMessage(workerId: string, message: WorkerMessage__Output): void;
}

type Stream = ServerDuplexStream<WorkerMessage__Output, CoordinatorMessage>;

interface Session {
  readonly pid: number;
  readonly call: Stream;
  /** Ends the stream with this error. */
  end(reason: StillhouseError): void;
}

const ROLES: readonly ClusterWorker['role'][] = ['teacher', 'student', 'specialist'];

export class Sessions {
  readonly #leaderEpoch: number;
  readonly #events: SessionEvents;
  readonly #logger: Logger;
  readonly #sessions = new Map<string, Session>();
  #ending: StillhouseError | undefined;

  constructor(leaderEpoch: number, events: SessionEvents, logger: Logger) {
    this.#leaderEpoch = leaderEpoch;
    this.#events = events;
    this.#logger = logger;
  }

  implementation(): Implementation<'Workers'> {
    return { Attend: (call, { signal }) => this.#attend(call, signal) };
  }

  /** Sends to the worker; dropped when it is not attached, which `onDetach` has told. */
  send(workerId: string, message: Omit<CoordinatorMessage, 'leaderEpoch'>): void {
    const session = this.#sessions.get(workerId);
    if (session?.call.writable) session.call.write({ leaderEpoch: this.#leaderEpoch, ...message });
  }

  /** Ends all streams, and refuses new ones. */
  close(reason: StillhouseError): void {
    this.#ending = reason;
    for (const { end } of this.#sessions.values()) end(reason);
  }

  async #attend(call: Stream, signal: AbortSignal): Promise<void> {
    if (this.#ending !== undefined) throw this.#ending;
    let workerId: string | undefined;
    let session: Session | undefined;
    // Ends with the stream, when another stream takes its place, and when the coordinator ends.
    const ended = new Promise<never>((_, reject) => {
      session = { pid: 0, call, end: reject };
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    const reading = (async () => {
      for await (const message of call as AsyncIterable<WorkerMessage__Output>) {
        if (workerId !== undefined) {
          this.#events.onMessage(workerId, message);
          continue;
        }
        const worker = checkHello(message.hello);
        session = this.#admit(worker, { pid: worker.pid, call, end: (session as Session).end });
        workerId = worker.id;
      }
    })();
    try {
      await Promise.race([reading, ended]);
    } finally {
      if (workerId !== undefined && this.#sessions.get(workerId) === session) {
        this.#sessions.delete(workerId);
        this.#logger.info({ workerId }, 'a worker left');
        this.#events.onDetach(workerId, 'its connection to the coordinator ended');
      }
    }
  }

  #admit(worker: AttachedWorker, session: Session): Session {
    const { id } = worker;
    const previous = this.#sessions.get(id);
    if (previous !== undefined) {
      if (previous.pid !== worker.pid) {
        throw new StillhouseError('ALREADY_EXISTS', `another worker is attached as ${id}`, {
          field: 'worker_id',
          hint: 'give every worker its own STILLHOUSE_WORKER_ID',
        });
      }
      // The same process came back before its old stream was found broken.
      this.#sessions.delete(id);
      this.#events.onDetach(id, 'it connected anew');
      previous.end(new StillhouseError('ABORTED', `worker ${id} connected anew`));
    }
    this.#sessions.set(id, session);
    this.#logger.info({ workerId: id, role: worker.role, address: worker.address }, 'a worker attached');
    this.send(id, { welcome: {} });
    this.#events.onAttach(worker);
    return session;
  }
}

function checkHello(hello: Hello__Output | null | undefined): AttachedWorker {
  if (!hello) {
    throw new StillhouseError('INVALID_ARGUMENT', 'the first message of a worker must be hello', { field: 'hello' });
  }
  const role = ROLES.find((known) => known === hello.role);
  if (role === undefined) {
    throw new StillhouseError('INVALID_ARGUMENT', `"${hello.role}" is no role, expected one of ${ROLES.join(', ')}`, {
      field: 'hello.role',
    });
  }
  if (role !== 'student' && hello.address === '') {
    throw new StillhouseError('INVALID_ARGUMENT', `a ${role} must say its address`, { field: 'hello.address' });
  }
  const { pid, address, engineFingerprint } = hello;
  return { id: subjectToken(hello.workerId, 'worker_id'), role, address, pid, fingerprint: engineFingerprint };
}
