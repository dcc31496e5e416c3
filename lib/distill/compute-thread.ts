/** The compute thread's body: runs programs one call after the other, so that the main thread's event loop never waits. */
import { parentPort } from 'node:worker_threads';
import { invariant } from '../base/errors.ts';
import { failureOf } from '../base/thread-failure.ts';
import { engineFingerprint } from '../engine/fingerprint.ts';
import { engineInUse } from '../engine/tf.ts';
import type { ComputeCall, ComputeCalls, ComputeReply, ComputeRequest } from './compute-protocol.ts';
import { loadCustomLoss } from './custom-loss.ts';
import { checkCustomLosses } from './custom-loss-check.ts';
import { type ForeignModel, openForeignModel } from './foreign-model.ts';
import { canFreeze, FrozenProgram } from './frozen-program.ts';
import { type InputValues, inputValues } from './image-input.ts';
import type { CustomLossFunction } from './loss.ts';
import { PlainProgram } from './plain-program.ts';
import { type OpenProgram, StepProgram } from './step-program.ts';
import type { MicroBatch, ProgramSpec } from './step-spec.ts';

const programs = new Map<number, OpenProgram>();
const foreignModels = new Map<number, ForeignModel>();
/** By digest. */
const customLosses = new Map<string, CustomLossFunction>();

function programOf(number: number): OpenProgram {
  const program = programs.get(number);
  invariant(program !== undefined, `program ${number} is open`);
  return program;
}

function foreignModelOf(number: number): ForeignModel {
  const model = foreignModels.get(number);
  invariant(model !== undefined, `model ${number} is open`);
  return model;
}

function openProgram(spec: ProgramSpec): OpenProgram {
  if (engineInUse.kind === 'plain') return new PlainProgram(spec, customLosses);
  return canFreeze(spec) ? new FrozenProgram(spec) : new StepProgram(spec, customLosses);
}

const loadedLosses = new Map<string, Awaited<ReturnType<typeof loadCustomLoss>>>();

type Result<Call extends ComputeCall> = ComputeCalls[Call]['result'];
type Handlers = {
  [Call in ComputeCall]: (args: ComputeCalls[Call]['arguments']) => Result<Call> | Promise<Result<Call>>;
};

const handlers: Handlers = {
  fingerprint: () => engineFingerprint(),
  loadLoss: async (source) => {
    // A module once imported stays in memory: jobs that share a loss share it.
    const loaded = loadedLosses.get(source.digest) ?? (await loadCustomLoss(source));
    loadedLosses.set(source.digest, loaded);
    customLosses.set(source.digest, loaded.compute);
    return { needsTeacher: loaded.needsTeacher };
  },
  open: ({ program, spec }) => {
    const { model, training } = spec;
    if (training !== null) checkCustomLosses(training.loss, customLosses, model.classes, training.totalSteps);
    const opened = openProgram(spec);
    programs.set(program, opened);
    const { vectorSize, slotSize, mode } = opened;
    return { vectorSize, slotSize, mode };
  },
  write: ({ program, name, values }) => {
    programOf(program).write(name, values);
    return null;
  },
  read: ({ program, name }) => programOf(program).read(name),
  sums: ({ program, batch }) => programOf(program).sums(batch),
  loneStep: ({ program, batch }) => programOf(program).loneStep(batch),
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
  openForeign: async ({ model, file }) => {
    const opened = await openForeignModel(file);
    foreignModels.set(model, opened);
    return opened.facts;
  },
  predictForeign: ({ model, ...batch }) => foreignModelOf(model).predict(batch),
  closeForeign: async ({ model }) => {
    await foreignModelOf(model).close();
    foreignModels.delete(model);
    return null;
  },
  imageInput: ({ input, rows, ...batch }) => inputValues(batch, input, rows),
};

/** The engine looks at them no more once it has answered. */
function imagesOf({ arguments: args }: ComputeRequest): Float32Array | undefined {
  const { images, batch } = args as { readonly images?: Float32Array; readonly batch?: MicroBatch };
  return images ?? batch?.images;
}

async function answer(request: ComputeRequest): Promise<ComputeReply> {
  try {
    const handler = handlers[request.call] as (args: unknown) => unknown;
    return { id: request.id, result: await handler(request.arguments) };
  } catch (thrown) {
    return { id: request.id, failure: failureOf(thrown, `compute ${request.call}`) };
  }
}

const port = parentPort;
invariant(port !== null, 'this module is the body of a worker thread');
if (engineInUse.kind === 'plain') {
  process.stderr.write(
    `WARNING: computing with plain TensorFlow.js, which is slower by orders of magnitude: ${engineInUse.reason}. ` +
      'Run `npm run setup` to build the engine.\n',
  );
}
let last: Promise<void> = Promise.resolve();
port.on('message', (request: ComputeRequest) => {
  last = last.then(async () => {
    const reply = await answer(request);
    const room = imagesOf(request);
    const large = [reply.result, room].filter(
      (values): values is InputValues => values instanceof Float32Array || values instanceof Uint8Array,
    );
    port.postMessage(room === undefined ? reply : { ...reply, room }, [
      ...new Set(large.map(({ buffer }) => buffer as ArrayBuffer)),
    ]);
  });
});
