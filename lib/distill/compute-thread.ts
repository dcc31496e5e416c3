/** The compute thread's body: runs programs one call after the other, so that the main thread's event loop never waits. */
import { parentPort } from 'node:worker_threads';
import { invariant, StillhouseError } from '../base/errors.ts';
import { engineFingerprint } from '../engine/fingerprint.ts';
import type { ComputeCall, ComputeCalls, ComputeReply, ComputeRequest } from './compute-protocol.ts';
import { StepProgram } from './step-program.ts';

const programs = new Map<number, StepProgram>();

function programOf(number: number): StepProgram {
  const program = programs.get(number);
  invariant(program !== undefined, `program ${number} is open`);
  return program;
}

type Handlers = { [Call in ComputeCall]: (args: ComputeCalls[Call]['arguments']) => ComputeCalls[Call]['result'] };

const handlers: Handlers = {
  fingerprint: () => engineFingerprint(),
  open: ({ program, spec }) => {
    const opened = new StepProgram(spec);
    programs.set(program, opened);
    return { vectorSize: opened.vectorSize };
  },
  write: ({ program, name, values }) => {
    programOf(program).write(name, values);
    return null;
  },
  read: ({ program, name }) => programOf(program).read(name),
  sums: ({ program, batch }) => programOf(program).sums(batch),
  apply: ({ program, mean, step }) => {
    programOf(program).apply(mean, step);
    return null;
  },
  predict: ({ program, images, count }) => programOf(program).predict(images, count),
  close: ({ program }) => {
    programOf(program).close();
    programs.delete(program);
    return null;
  },
};

function answer(request: ComputeRequest): ComputeReply {
  try {
    const handler = handlers[request.call] as (args: unknown) => unknown;
    return { id: request.id, result: handler(request.arguments) };
  } catch (thrown) {
    const { code, message, stack } = StillhouseError.from(thrown, `compute ${request.call}`);
    return { id: request.id, failure: { code, message, stack } };
  }
}

const port = parentPort;
invariant(port !== null, 'this module is the body of a worker thread');
port.on('message', (request: ComputeRequest) => {
  const reply = answer(request);
  const transfer = reply.result instanceof Float32Array ? [reply.result.buffer as ArrayBuffer] : [];
  port.postMessage(reply, transfer);
});
