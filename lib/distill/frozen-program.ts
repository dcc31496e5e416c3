/**
 * A model that only predicts. Its weights are constants of the graph, so that TensorFlow folds what depends on them alone and
 * brings each filter into its kernel's layout once, not on every call.
 */
import { invariant, StillhouseError } from '../base/errors.ts';
import { GraphDefinition } from '../engine/graph-definition.ts';
import { withTensors } from '../engine/scope.ts';
import { Session } from '../engine/session.ts';
import type { TensorSpec } from '../model/parameters.ts';
import { stateTensors } from './eager-step.ts';
import { predictBatches } from './prediction-batches.ts';
import { tracePrediction } from './prediction-graph.ts';
import type { OpenProgram } from './step-program.ts';
import type { ProgramSpec } from './step-spec.ts';

/** The message that a graph is loaded from holds its constants, and may have 2 GiB. */
const FROZEN_BYTES_MAX = 2 ** 30;

/** Whether the model only predicts and is small enough for its weights to be constants. */
export function canFreeze({ model, training }: ProgramSpec): boolean {
  const bytes = Float32Array.BYTES_PER_ELEMENT * (model.parameterCount + model.statisticCount);
  return training === null && bytes <= FROZEN_BYTES_MAX;
}

/** Graphs are built when a size of batch is first predicted, and anew after weights were written. */
export class FrozenProgram implements OpenProgram {
  readonly spec: ProgramSpec;
  readonly mode = null;
  readonly vectorSize = 0;
  readonly slotSize = 0;
  readonly slots: readonly string[] = [];
  /** As written: `parameters`, `statistics`. */
  readonly #state: Map<string, Float32Array>;
  /** By size of batch. */
  readonly #sessions = new Map<number, Session>();

  constructor(spec: ProgramSpec) {
    this.spec = spec;
    this.#state = new Map();
    if (spec.model.statisticCount === 0) this.#state.set('statistics', new Float32Array(0));
  }

  write(name: string, values: Float32Array): void {
    const { parameterCount, statisticCount } = this.spec.model;
    const length = { parameters: parameterCount, statistics: statisticCount }[name];
    invariant(length === values.length, `a model that predicts has ${name} of ${length} numbers`);
    this.#state.set(name, values.slice());
    this.close();
  }

  read(name: string): Float32Array {
    return this.#written(name).slice();
  }

  predict(images: Float32Array, count: number): Float32Array {
    return predictBatches(this.spec, images, count, (size, batch) =>
      this.#session(size).read({ 'predict/images': batch }, 'predict/out0'),
    );
  }

  sums(): never {
    throw onlyPredicts();
  }

  loneStep(): never {
    throw onlyPredicts();
  }

  apply(): never {
    throw onlyPredicts();
  }

  close(): void {
    for (const session of this.#sessions.values()) session.close();
    this.#sessions.clear();
  }

  #session(size: number): Session {
    const open = this.#sessions.get(size) ?? this.#load(size);
    this.#sessions.set(size, open);
    return open;
  }

  #load(size: number): Session {
    const { model } = this.spec;
    const graph = new GraphDefinition();
    const [parameters, statistics] = [this.#written('parameters'), this.#written('statistics')];
    const nodes = new Map([
      ...addConstants(graph, model.parameters, parameters),
      ...addConstants(graph, model.statistics, statistics),
    ]);
    withTensors((keep) => {
      const tensors = stateTensors(model, { parameters, statistics }, keep);
      const state = [...tensors].map(([name, tensor]) => [name, { tensor, node: nodes.get(name) as string }] as const);
      tracePrediction(graph, 'predict', this.spec, size, new Map(state));
    });
    return new Session(graph);
  }

  #written(name: string): Float32Array {
    const values = this.#state.get(name);
    if (values !== undefined) return values;
    throw new StillhouseError('INTERNAL', `the model's ${name} have not been written`);
  }
}

/** The nodes by the tensors' names. */
function addConstants(graph: GraphDefinition, specs: readonly TensorSpec[], flat: Float32Array): [string, string][] {
  let offset = 0;
  return specs.map(({ name, shape, size }) => {
    offset += size;
    return [name, graph.float(`weight/${name}`, flat.subarray(offset - size, offset), shape)];
  });
}

function onlyPredicts(): StillhouseError {
  return new StillhouseError('INTERNAL', 'this program only predicts');
}
