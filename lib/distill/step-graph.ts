/**
 * A training step as one TensorFlow graph: weights, moving statistics and optimizer slots are resource variables in it, so
 * a step moves only the batch in and the vector of sums out, and applying the averaged vector moves nothing back.
 */
import { attribute, GraphDefinition } from '../engine/graph-definition.ts';
import { addDone, joinVector, reshape, splitVector } from '../engine/graph-vectors.ts';
import { type Keep, withTensors } from '../engine/scope.ts';
import { backend, type Tensor, tf } from '../engine/tf.ts';
import { type TraceInput, traceInto } from '../engine/trace.ts';
import { BATCH_NORM_MOMENTUM } from '../model/layers.ts';
import type { TensorSpec } from '../model/parameters.ts';
import {
  type BatchTensors,
  countStepNumbers,
  type GradientPlan,
  microBatchSums,
  sizeOf,
  TAIL_NUMBERS,
} from './batch-gradient.ts';
import { needsTeacher } from './loss-spec.ts';
import { addClip, addUpdate, STEP_NUMBERS } from './optimizer.ts';
import { slotNames } from './optimizer-spec.ts';
import { tracePrediction } from './prediction-graph.ts';
import { imageShape, type ProgramSpec } from './step-spec.ts';

interface Variable {
  readonly spec: TensorSpec;
  readonly handle: string;
}

export class StepGraph {
  readonly definition = new GraphDefinition();
  readonly #spec: ProgramSpec;
  readonly #parameters: readonly Variable[];
  readonly #statistics: readonly Variable[];
  readonly #float = backend().binding.TF_FLOAT;
  /** Per slot of the optimizer, its variable for every trained parameter. */
  readonly #slots: Variable[][] = [];
  /** Nodes of the update's numbers. */
  #numbers: readonly string[] = [];
  /** By size, the nodes of a micro-batch's sums, each in its own shape. */
  readonly #sums = new Map<number, readonly string[]>();

  /** Variables of the model, and nodes that write and read them as flat vectors: `parameters`, `statistics`. */
  constructor(spec: ProgramSpec) {
    this.#spec = spec;
    this.#parameters = spec.model.parameters.map((tensor) => this.#addVariable(tensor, tensor.name));
    this.#statistics = spec.model.statistics.map((tensor) => this.#addVariable(tensor, tensor.name));
    this.#addStateNodes('parameters', this.#parameters);
    this.#addStateNodes('statistics', this.#statistics);
  }

  /** Adds the sums of micro-batches of one size under `sums<size>/`. @throws FAILED_PRECONDITION as `traceInto` does */
  addSums(plan: GradientPlan, size: number): void {
    const prefix = `sums${size}`;
    withTensors((keep) => {
      const { all, batch } = this.#batchInputs(prefix, size, plan, keep);
      const state = this.#stateInputs(prefix, keep);
      const inputs = [...all, ...state.values()];
      const tensors = new Map([...state].map(([name, { tensor }]) => [name, tensor]));
      const { precision } = plan.training;
      const sums = traceInto(this.definition, prefix, inputs, () => microBatchSums(plan, tensors, batch), precision);
      this.#sums.set(size, sums);
      const sizes = [...[...plan.trainable, ...plan.statistics].map((tensor) => tensor.size), 1, 1];
      const flat = sums.map((sum, index) =>
        reshape(this.definition, `${prefix}/flat${index}`, sum, [sizes[index] as number]),
      );
      joinVector(this.definition, `${prefix}/all`, flat);
    });
  }

  /** Adds the logits of `size` images under `predict<size>/`, in float32 whatever the training's precision. */
  addPrediction(size: number): void {
    const prefix = `predict${size}`;
    withTensors((keep) => tracePrediction(this.definition, prefix, this.#spec, size, this.#stateInputs(prefix, keep)));
  }

  /** Adds the update by an averaged vector under `apply/`, and the optimizer's slots as states under their names. */
  addApply({ training, trainable, statistics, vectorSize }: GradientPlan): void {
    const graph = this.definition;
    for (const slot of slotNames(training.optimizer)) {
      const variables = trainable.map((tensor) => this.#addVariable(tensor, `${tensor.name}/${slot}`));
      this.#addStateNodes(slot, variables);
      this.#slots.push(variables);
    }
    const numbers = graph.placeholder('apply/numbers', this.#float, [STEP_NUMBERS]);
    const unpack = { T: attribute.type(this.#float), num: attribute.integer(STEP_NUMBERS), axis: attribute.integer(0) };
    const unpacked = graph.add('apply/unpack', 'Unpack', [numbers], unpack);
    this.#numbers = Array.from({ length: STEP_NUMBERS }, (_, index) => `${unpacked}:${index}`);
    const mean = graph.placeholder('apply/mean', this.#float, [vectorSize]);
    const pieces = splitVector(graph, 'apply/split', mean, [...trainable, ...statistics], TAIL_NUMBERS);
    addDone(graph, 'apply/done', this.#addUpdates('apply', { training, trainable, statistics }, pieces));
  }

  /**
   * Adds, under `step<size>/`, the whole step on a micro-batch that is its own global batch: what `sums<size>/` computes,
   * its mean, and the update by it, without leaving TensorFlow. Wants `addApply` and `addSums` of this size before.
   */
  addLoneStep({ training, trainable, statistics }: GradientPlan, size: number): void {
    const graph = this.definition;
    const prefix = `step${size}`;
    const T = attribute.type(this.#float);
    const sums = this.#sums.get(size) as readonly string[];
    // Fed, so that no rewriting of the graph joins it with other constants: the mean is to have the bits of a worker's own.
    const count = graph.placeholder(`${prefix}/count`, this.#float, []);
    const means = sums.map((sum, index) => graph.add(`${prefix}/mean${index}`, 'RealDiv', [sum, count], { T }));
    // An update must not overtake the backward pass of an earlier layer, which still reads the weights.
    const all = graph.add(
      `${prefix}/all`,
      'NoOp',
      means.map((mean) => `^${mean}`),
      {},
    );
    const held = means.map((mean, index) => graph.add(`${prefix}/held${index}`, 'Identity', [mean, `^${all}`], { T }));
    const tail = held.slice(-TAIL_NUMBERS).map((mean, index) => reshape(graph, `${prefix}/tail${index}`, mean, [1]));
    // Finite only if every mean is.
    const squares = held.map((mean, index) => graph.add(`${prefix}/square${index}`, 'L2Loss', [mean], { T }));
    const sum = graph.add(`${prefix}/squares`, 'AddN', squares, { T, N: attribute.integer(squares.length) });
    const finite = reshape(graph, `${prefix}/finite`, sum, [1]);
    const updates = this.#addUpdates(prefix, { training, trainable, statistics }, held);
    const metrics = joinVector(graph, `${prefix}/metrics`, [...tail, finite]);
    graph.add(`${prefix}/done`, 'Identity', [metrics, ...updates.map((node) => `^${node}`)], { T });
  }

  /** Updates of what is trained, and moves of the statistics, by their means. @returns the nodes to wait for */
  #addUpdates(
    prefix: string,
    { training, trainable, statistics }: Pick<GradientPlan, 'training' | 'trainable' | 'statistics'>,
    means: readonly string[],
  ): string[] {
    const { optimizer } = training;
    const gradients = means.slice(0, trainable.length);
    const { clipNorm } = optimizer;
    const clipped =
      clipNorm === undefined ? gradients : addClip(this.definition, `${prefix}/clip`, gradients, clipNorm);
    const updates = trainable.map(({ name }, index) =>
      addUpdate(this.definition, optimizer, `${prefix}/update/${name}`, {
        variable: handleOfVariable(this.#parameters, name),
        slots: this.#slots.map((variables) => (variables[index] as Variable).handle),
        gradient: clipped[index] as string,
        numbers: this.#numbers,
      }),
    );
    const moves = statistics.map((tensor, index) =>
      this.#addMovingAverage(`${prefix}/move/${tensor.name}`, tensor, means[trainable.length + index] as string),
    );
    return [...updates, ...moves];
  }

  #addVariable(spec: TensorSpec, name: string): Variable {
    const handle = this.definition.add(`variable/${name}`, 'VarHandleOp', [], {
      dtype: attribute.type(this.#float),
      shape: attribute.shape(spec.shape),
      shared_name: attribute.text(`variable/${name}`),
      container: attribute.text(''),
    });
    return { spec, handle };
  }

  /** Nodes that write and read a list of variables as one flat vector. */
  #addStateNodes(name: string, variables: readonly Variable[]): void {
    if (variables.length === 0) return;
    const graph = this.definition;
    const dtype = attribute.type(this.#float);
    const specs = variables.map(({ spec }) => spec);
    const value = graph.placeholder(`${name}/value`, this.#float, [sizeOf(specs)]);
    const pieces = splitVector(graph, `${name}/split`, value, specs);
    const assigned = variables.map(({ handle }, index) =>
      graph.add(`${name}/assign${index}`, 'AssignVariableOp', [handle, pieces[index] as string], { dtype }),
    );
    addDone(graph, `${name}/written`, assigned);
    const flat = variables.map(({ handle, spec }, index) => {
      const value = graph.add(`${name}/value${index}`, 'ReadVariableOp', [handle], { dtype });
      return reshape(graph, `${name}/flat${index}`, value, [spec.size]);
    });
    joinVector(graph, `${name}/read`, flat);
  }

  /** moving += momentum · (batch − moving). */
  #addMovingAverage(name: string, spec: TensorSpec, batch: string): string {
    const graph = this.definition;
    const handle = handleOfVariable(this.#statistics, spec.name);
    const dtype = attribute.type(this.#float);
    const old = graph.add(`${name}/old`, 'ReadVariableOp', [handle], { dtype });
    const difference = graph.add(`${name}/difference`, 'Sub', [batch, old], { T: dtype });
    const momentum = graph.float(`${name}/momentum`, [spec.momentum ?? BATCH_NORM_MOMENTUM], []);
    const change = graph.add(`${name}/change`, 'Mul', [difference, momentum], { T: dtype });
    return graph.add(name, 'AssignAddVariableOp', [handle, change], { dtype });
  }

  /** The model's variables as trace inputs, by name: any tensor of the shape stands for them, a read of them in the graph. */
  #stateInputs(prefix: string, keep: Keep): Map<string, TraceInput> {
    const dtype = attribute.type(this.#float);
    return new Map(
      [...this.#parameters, ...this.#statistics].map(({ spec, handle }) => [
        spec.name,
        {
          tensor: keep(tf.ones([...spec.shape])),
          node: this.definition.add(`${prefix}/read/${spec.name}`, 'ReadVariableOp', [handle], { dtype }),
        },
      ]),
    );
  }

  #input(name: string, tensor: Tensor, keep: Keep): TraceInput {
    const { TF_INT32 } = backend().binding;
    const dtype = tensor.dtype === 'int32' ? TF_INT32 : this.#float;
    return { tensor: keep(tensor), node: this.definition.placeholder(name, dtype, tensor.shape) };
  }

  #batchInputs(prefix: string, size: number, { model, training }: GradientPlan, keep: Keep) {
    const { height, width, channels } = imageShape(this.#spec);
    const images = this.#input(`${prefix}/images`, tf.zeros([size, height, width, channels]), keep);
    const labels = this.#input(`${prefix}/labels`, tf.zeros([size], 'int32'), keep);
    const numbers = this.#input(`${prefix}/numbers`, tf.ones([countStepNumbers(training)]), keep);
    const key = this.#input(`${prefix}/key`, tf.zeros([2], 'int32'), keep);
    const withTeacher = needsTeacher(training.loss.terms);
    const teacher = withTeacher ? this.#input(`${prefix}/teacher`, tf.zeros([size, model.classes]), keep) : null;
    const terms = training.loss.terms.length;
    const tails = training.tails === true ? this.#input(`${prefix}/tails`, tf.zeros([size, terms]), keep) : null;
    const mixed = training.mixed === true ? this.#mixedInputs(prefix, size, keep) : null;
    const batch: BatchTensors = {
      images: images.tensor,
      labels: labels.tensor,
      mixed: mixed === null ? null : { labels: mixed.labels.tensor, shares: mixed.shares.tensor },
      teacherLogits: teacher?.tensor ?? null,
      teacherTails: tails?.tensor ?? null,
      numbers: numbers.tensor,
      key: key.tensor,
    };
    const optional = [mixed?.labels, mixed?.shares, teacher, tails].filter((input) => input != null);
    return { all: [images, labels, numbers, key, ...optional], batch };
  }

  #mixedInputs(prefix: string, size: number, keep: Keep) {
    const labels = this.#input(`${prefix}/partnerLabels`, tf.zeros([size], 'int32'), keep);
    const shares = this.#input(`${prefix}/shares`, tf.ones([size]), keep);
    return { labels, shares };
  }
}

function handleOfVariable(variables: readonly Variable[], name: string): string {
  return (variables.find(({ spec }) => spec.name === name) as Variable).handle;
}
