/** The main thread's end of the compute thread. Calls run in the order in which they are made. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { StillhouseError } from '../base/errors.ts';
import { threadEntry } from '../base/thread-entry.ts';
import { errorOf } from '../base/thread-failure.ts';
import { giveBackRoom } from '../data/image-room.ts';
import type { ComputeCall, ComputeCalls, ComputeReply, ComputeRequest, ProgramFacts } from './compute-protocol.ts';
import type { CustomLossSource } from './custom-loss.ts';
import type { ForeignAnswer, ForeignBatch, ForeignFacts, ForeignModelFile } from './foreign-model.ts';
import type { ImageBatch, ImageInput, InputValues } from './image-input.ts';
import { slotNames } from './optimizer-spec.ts';
import type { MicroBatch, ProgramSpec, StepMetrics, StepMode } from './step-spec.ts';
import type { TrainableModel } from './trainable-model.ts';

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: StillhouseError) => void;
}

/** Starts in a second or two: TensorFlow is loaded in the thread. Set `configureEngine` before. */
export class Compute {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #ids = 0;
  #programs = 0;
  #foreignModels = 0;
  #ended: StillhouseError | undefined;

  constructor() {
    const extension = extname(new URL(import.meta.url).pathname);
    this.#worker = new Worker(threadEntry(new URL(`./compute-thread${extension}`, import.meta.url)));
    this.#worker.on('message', (reply: ComputeReply) => this.#settle(reply));
    this.#worker.on('error', (error) => this.#end(engineFailure(error)));
    this.#worker.on('exit', () => this.#end(new StillhouseError('CANCELLED', 'the compute thread has ended')));
  }

  /** @throws FAILED_PRECONDITION when TensorFlow cannot be loaded */
  fingerprint(): Promise<string> {
    return this.call('fingerprint', {});
  }

  /**
   * Loads the code of a custom loss: programs that are opened later can train with it. Runs the job's code in this process.
   * @throws what `loadCustomLoss` throws
   */
  loadLoss(source: CustomLossSource): Promise<{ readonly needsTeacher: boolean }> {
    return this.call('loadLoss', source);
  }

  /** Compiles a program in the thread. @throws what the program's compilation throws */
  async open(spec: ProgramSpec): Promise<Program> {
    const program = this.#programs++;
    return new Program(this, program, spec, await this.call('open', { program, spec }));
  }

  /** Loads a model of another framework in the thread. @throws what `openForeignModel` throws */
  async openForeign(file: ForeignModelFile): Promise<LoadedForeignModel> {
    const model = this.#foreignModels++;
    const facts = await this.call('openForeign', { model, file });
    return {
      facts,
      predict: (batch) => this.call('predictForeign', { ...batch, model }, [batch.images.buffer as ArrayBuffer]),
      close: async () => {
        await this.call('closeForeign', { model });
      },
    };
  }

  /** See `inputValues`. The images are handed over. */
  imageInput(batch: ImageBatch, input: ImageInput, rows: number): Promise<InputValues> {
    return this.call('imageInput', { ...batch, input, rows }, [batch.images.buffer as ArrayBuffer]);
  }

  call<Call extends ComputeCall>(
    call: Call,
    args: ComputeCalls[Call]['arguments'],
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<ComputeCalls[Call]['result']> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const id = this.#ids++;
      this.#waiting.set(id, { resolve: resolve as (result: unknown) => void, reject });
      const request: ComputeRequest = { id, call, arguments: args };
      this.#worker.postMessage(request, transfer);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #settle({ id, result, failure, room }: ComputeReply): void {
    if (room !== undefined) giveBackRoom(room);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (failure === undefined) waiting?.resolve(result);
    else waiting?.reject(errorOf(failure));
  }

  #end(error: StillhouseError): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }
}

function engineFailure(error: unknown): StillhouseError {
  const text = error instanceof Error ? (error.message.split('\n')[0] as string) : String(error);
  return new StillhouseError('FAILED_PRECONDITION', `the TensorFlow engine cannot be loaded: ${text}`, {
    hint: 'run "npm run setup"; it builds the engine again',
    cause: error,
  });
}

/** A model of another framework in the compute thread. Images are handed over. */
export interface LoadedForeignModel {
  readonly facts: ForeignFacts;
  predict(batch: ForeignBatch): Promise<ForeignAnswer>;
  close(): Promise<void>;
}

/** A compiled program in the compute thread. */
export class Program implements TrainableModel {
  readonly spec: ProgramSpec;
  readonly vectorSize: number;
  /** Length of each of the optimizer's state vectors. */
  readonly slotSize: number;
  /** How gradients are computed; null for a program that only predicts. */
  readonly mode: StepMode | null;
  readonly #compute: Compute;
  readonly #program: number;

  constructor(compute: Compute, program: number, spec: ProgramSpec, facts: ProgramFacts) {
    this.#compute = compute;
    this.#program = program;
    this.spec = spec;
    this.vectorSize = facts.vectorSize;
    this.slotSize = facts.slotSize;
    this.mode = facts.mode;
  }

  /** Names of the optimizer's state vectors. */
  get slots(): readonly string[] {
    return this.spec.training === null ? [] : slotNames(this.spec.training.optimizer);
  }

  /** See `StepProgram.write`. The values are copied. */
  async write(name: string, values: Float32Array): Promise<void> {
    await this.#compute.call('write', { program: this.#program, name, values });
  }

  /** See `StepProgram.read`. */
  read(name: string): Promise<Float32Array> {
    return this.#compute.call('read', { program: this.#program, name });
  }

  /** See `StepProgram.sums`. The images are handed over: the caller's array is empty afterwards. */
  sums(batch: MicroBatch): Promise<Float32Array> {
    return this.#compute.call('sums', { program: this.#program, batch }, [batch.images.buffer as ArrayBuffer]);
  }

  /** See `StepProgram.loneStep`. The images are handed over. */
  loneStep(batch: MicroBatch): Promise<StepMetrics> {
    return this.#compute.call('loneStep', { program: this.#program, batch }, [batch.images.buffer as ArrayBuffer]);
  }

  /** See `StepProgram.apply`. */
  async apply(mean: Float32Array, step: number): Promise<void> {
    await this.#compute.call('apply', { program: this.#program, mean, step });
  }

  /** See `StepProgram.predict`. The images are handed over. */
  predict(images: Float32Array, count: number): Promise<Float32Array> {
    return this.#compute.call('predict', { program: this.#program, images, count }, [images.buffer as ArrayBuffer]);
  }

  async close(): Promise<void> {
    await this.#compute.call('close', { program: this.#program });
  }
}
