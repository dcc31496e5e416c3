/**
 * A training step as one TensorFlow graph: weights, moving statistics and optimizer slots are resource variables in it, so
 * a step moves only the batch in and the vector of sums out, and applying the averaged vector moves nothing back.
 */
import { invariant, StillhouseError } from '../base/errors.ts';
import { createRandom, hashName } from '../base/random.ts';
import { attribute, GraphDefinition } from '../engine/graph-definition.ts';
import { addDone, joinVector, reshape, splitVector } from '../engine/graph-vectors.ts';
import { type Keep, withTensors } from '../engine/scope.ts';
import { Session } from '../engine/session.ts';
import { backend, type Tensor, tf } from '../engine/tf.ts';
import { type TraceInput, traceInto } from '../engine/trace.ts';
import { forward } from '../model/forward.ts';
import { BATCH_NORM_MOMENTUM } from '../model/layers.ts';
import type { TensorSpec } from '../model/parameters.ts';
import { microBatchSums, preprocess, TAIL_NUMBERS } from './batch-gradient.ts';
import { needsTeacher } from './loss.ts';
import { addUpdate, STEP_NUMBERS, slotNames, stepNumbers } from './optimizer.ts';
import type { MicroBatch, ProgramSpec, TrainingSpec } from './step-spec.ts';
import { verifySums } from './verify-step.ts';

interface Variable {
  readonly spec: TensorSpec;
  readonly handle: string;
  readonly slots: readonly string[];
}

export class StepProgram {
  readonly spec: ProgramSpec;
  /** Length of the vector of sums: gradients, statistics, loss, correct answers. */
  readonly vectorSize: number;
  readonly #graph = new GraphDefinition();
  readonly #session: Session;
  readonly #parameters: Variable[];
  readonly #statistics: Variable[];

  /** Traces, loads and verifies. @throws FAILED_PRECONDITION when the graph does not compute what eager execution does. */
  constructor(spec: ProgramSpec) {
    this.spec = spec;
    const { model, training } = spec;
    this.vectorSize = model.parameterCount + model.statisticCount + TAIL_NUMBERS;
    const slots = training === null ? [] : slotNames(training.optimizer);
    this.#parameters = model.parameters.map((tensor) => this.#addVariable(tensor, slots));
    this.#statistics = model.statistics.map((tensor) => this.#addVariable(tensor, []));
    this.#addStateNodes(
      'parameters',
      this.#parameters.map(({ spec, handle }) => ({ spec, handle })),
    );
    this.#addStateNodes(
      'statistics',
      this.#statistics.map(({ spec, handle }) => ({ spec, handle })),
    );
    for (const [index, name] of slots.entries()) {
      this.#addStateNodes(
        name,
        this.#parameters.map(({ spec, slots }) => ({ spec, handle: slots[index] as string })),
      );
    }
    if (training !== null) {
      for (const size of training.batchSizes) this.#traceGradients(size, training);
      this.#addApply(training);
    }
    for (const size of spec.predictBatchSizes) this.#tracePrediction(size);
    this.#session = new Session(this.#graph);
    if (training !== null) this.#verify(training);
  }

  get slots(): readonly string[] {
    return this.spec.training === null ? [] : slotNames(this.spec.training.optimizer);
  }

  /** Writes a flat state vector. @param name `parameters`, `statistics` or a slot's name */
  write(name: string, values: Float32Array): void {
    if (values.length === 0) return;
    withTensors((keep) => {
      const [done] = this.#session.run({ [`${name}/value`]: keep(tf.tensor1d(values)) }, [`${name}/written`]);
      keep(done as Tensor);
    });
  }

  /** Reads a flat state vector. */
  read(name: string): Float32Array {
    const isEmpty = name === 'statistics' && this.#statistics.length === 0;
    return isEmpty ? new Float32Array(0) : this.#session.read({}, `${name}/read`);
  }

  /** The micro-batch's sums at the current weights, [vectorSize]. @param temperature by default the training's own */
  sums(batch: MicroBatch, temperature?: number): Float32Array {
    const training = this.#training();
    if (!training.batchSizes.includes(batch.count)) {
      throw new StillhouseError('INTERNAL', `no graph was traced for micro-batches of ${batch.count}`);
    }
    return withTensors((keep) => {
      const feeds = this.#feeds(batch, training, temperature ?? training.temperature, keep);
      return this.#session.read(feeds, `sums${batch.count}/out0`);
    });
  }

  /** Updates weights, slots and moving statistics from the global batch's mean vector. @param step 0-based */
  apply(mean: Float32Array, step: number): void {
    const { optimizer, totalSteps } = this.#training();
    invariant(mean.length === this.vectorSize, 'the averaged vector has the length of the sums');
    withTensors((keep) => {
      const numbers = keep(tf.tensor1d(stepNumbers(optimizer, step, totalSteps)));
      const [done] = this.#session.run({ 'apply/mean': keep(tf.tensor1d(mean)), 'apply/numbers': numbers }, [
        'apply/done',
      ]);
      keep(done as Tensor);
    });
  }

  /** Logits, [count, classes], with moving statistics. @param images RGB 0..255, [count, height, width, channels] */
  predict(images: Float32Array, count: number): Float32Array {
    const { model, predictBatchSizes } = this.spec;
    const { height, width, channels } = model.input;
    const imageSize = height * width * channels;
    const logits = new Float32Array(count * model.classes);
    const largest = predictBatchSizes.at(-1) as number;
    for (let start = 0; start < count; start += largest) {
      const rows = Math.min(largest, count - start);
      const size = predictBatchSizes.find((candidate) => candidate >= rows) as number;
      const padded = new Float32Array(size * imageSize);
      padded.set(images.subarray(start * imageSize, (start + rows) * imageSize));
      const values = withTensors((keep) =>
        this.#session.read(
          { [`predict${size}/images`]: keep(tf.tensor4d(padded, [size, height, width, channels])) },
          `predict${size}/out0`,
        ),
      );
      logits.set(values.subarray(0, rows * model.classes), start * model.classes);
    }
    return logits;
  }

  close(): void {
    this.#session.close();
  }

  #training(): TrainingSpec {
    const { training } = this.spec;
    if (training !== null) return training;
    throw new StillhouseError('INTERNAL', 'this program only predicts');
  }

  #addVariable(spec: TensorSpec, slots: readonly string[]): Variable {
    const add = (name: string) =>
      this.#graph.add(name, 'VarHandleOp', [], {
        dtype: attribute.type(backend().binding.TF_FLOAT),
        shape: attribute.shape(spec.shape),
        shared_name: attribute.text(name),
        container: attribute.text(''),
      });
    return {
      spec,
      handle: add(`variable/${spec.name}`),
      slots: slots.map((slot) => add(`variable/${spec.name}/${slot}`)),
    };
  }

  /** Nodes that write and read a list of variables as one flat vector. */
  #addStateNodes(name: string, variables: readonly { spec: TensorSpec; handle: string }[]): void {
    if (variables.length === 0) return;
    const graph = this.#graph;
    const dtype = attribute.type(backend().binding.TF_FLOAT);
    const specs = variables.map(({ spec }) => spec);
    const total = specs.reduce((sum, { size }) => sum + size, 0);
    const pieces = splitVector(graph, `${name}/split`, graph.placeholder(`${name}/value`, this.#float, [total]), specs);
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

  get #float(): number {
    return backend().binding.TF_FLOAT;
  }

  #traceGradients(size: number, training: TrainingSpec): void {
    const { model, preprocessing } = this.spec;
    const prefix = `sums${size}`;
    withTensors((keep) => {
      const inputs = this.#batchInputs(prefix, size, training, keep);
      const parameters = this.#variableInputs(this.#parameters, prefix, keep);
      traceInto(this.#graph, prefix, [...inputs.all, ...parameters], () => [
        microBatchSums(model, preprocessing, training.terms, tensorsOf(parameters), inputs.batch),
      ]);
    });
  }

  #tracePrediction(size: number): void {
    const { model, preprocessing } = this.spec;
    const prefix = `predict${size}`;
    const { height, width, channels } = model.input;
    withTensors((keep) => {
      const shape = [size, height, width, channels];
      const images = {
        tensor: keep(tf.zeros(shape)),
        node: this.#graph.placeholder(`${prefix}/images`, this.#float, shape),
      };
      const variables = [...this.#parameters, ...this.#statistics];
      const state = this.#variableInputs(variables, prefix, keep);
      const byName = new Map(variables.map(({ spec }, index) => [spec.name, (state[index] as TraceInput).tensor]));
      traceInto(this.#graph, prefix, [images, ...state], () => [
        forward(model, byName, preprocess(images.tensor, preprocessing), false).logits,
      ]);
    });
  }

  /** Variables as trace inputs: any tensor of the shape stands for them, a read of the variable in the graph. */
  #variableInputs(variables: readonly Variable[], prefix: string, keep: Keep): TraceInput[] {
    const dtype = attribute.type(this.#float);
    return variables.map(({ spec, handle }) => ({
      tensor: keep(tf.ones([...spec.shape])),
      node: this.#graph.add(`${prefix}/read/${spec.name}`, 'ReadVariableOp', [handle], { dtype }),
    }));
  }

  #batchInputs(prefix: string, size: number, training: TrainingSpec, keep: Keep) {
    const graph = this.#graph;
    const { model } = this.spec;
    const { height, width, channels } = model.input;
    const { TF_INT32 } = backend().binding;
    const input = (name: string, tensor: Tensor, dtype: number): TraceInput => ({
      tensor: keep(tensor),
      node: graph.placeholder(`${prefix}/${name}`, dtype, tensor.shape),
    });
    const images = input('images', tf.zeros([size, height, width, channels]), this.#float);
    const labels = input('labels', tf.zeros([size], 'int32'), TF_INT32);
    const teacher = needsTeacher(training.terms)
      ? input('teacher', tf.zeros([size, model.classes]), this.#float)
      : null;
    const temperature = input('temperature', tf.scalar(1), this.#float);
    const weights = training.terms.map((_, index) => input(`weight${index}`, tf.scalar(1), this.#float));
    return {
      all: [images, labels, temperature, ...weights, ...(teacher === null ? [] : [teacher])],
      batch: {
        images: images.tensor,
        labels: labels.tensor,
        teacherLogits: teacher?.tensor ?? null,
        temperature: temperature.tensor,
        weights: tensorsOf(weights),
      },
    };
  }

  /** The batch as tensors, by the name of the placeholder that takes them. */
  #feeds(batch: MicroBatch, { terms }: TrainingSpec, temperature: number, keep: Keep): Record<string, Tensor> {
    const { model } = this.spec;
    const { height, width, channels } = model.input;
    const prefix = `sums${batch.count}`;
    const feeds: Record<string, Tensor> = {
      [`${prefix}/images`]: keep(tf.tensor4d(batch.images, [batch.count, height, width, channels])),
      [`${prefix}/labels`]: keep(tf.tensor1d(batch.labels, 'int32')),
    };
    const usesTemperature = terms.some(({ type }) => type === 'kl');
    if (usesTemperature) feeds[`${prefix}/temperature`] = keep(tf.scalar(temperature));
    for (const [index, { weight }] of terms.entries()) feeds[`${prefix}/weight${index}`] = keep(tf.scalar(weight));
    if (needsTeacher(terms)) {
      if (batch.teacherLogits === null) throw new StillhouseError('INTERNAL', 'the micro-batch lacks teacher logits');
      feeds[`${prefix}/teacher`] = keep(tf.tensor2d(batch.teacherLogits, [batch.count, model.classes]));
    }
    return feeds;
  }

  #addApply({ optimizer }: TrainingSpec): void {
    const graph = this.#graph;
    const mean = graph.placeholder('apply/mean', this.#float, [this.vectorSize]);
    const numbersVector = graph.placeholder('apply/numbers', this.#float, [STEP_NUMBERS]);
    const T = attribute.type(this.#float);
    const numbers = graph.add('apply/unpack', 'Unpack', [numbersVector], {
      T,
      num: attribute.integer(STEP_NUMBERS),
      axis: attribute.integer(0),
    });
    const numberNodes = Array.from({ length: STEP_NUMBERS }, (_, index) => `${numbers}:${index}`);
    const specs = [...this.spec.model.parameters, ...this.spec.model.statistics];
    const pieces = splitVector(graph, 'apply/split', mean, specs, TAIL_NUMBERS);
    const updates = this.#parameters.map(({ spec, handle, slots }, index) =>
      addUpdate(graph, optimizer, `apply/update/${spec.name}`, {
        variable: handle,
        slots,
        gradient: pieces[index] as string,
        numbers: numberNodes,
      }),
    );
    const moves = this.#statistics.map(({ spec, handle }, index) =>
      this.#addMovingAverage(spec, handle, pieces[this.#parameters.length + index] as string),
    );
    addDone(graph, 'apply/done', [...updates, ...moves]);
  }

  /** moving += momentum · (batch − moving). */
  #addMovingAverage(spec: TensorSpec, handle: string, batch: string): string {
    const graph = this.#graph;
    const name = `apply/move/${spec.name}`;
    const dtype = attribute.type(this.#float);
    const T = dtype;
    const old = graph.add(`${name}/old`, 'ReadVariableOp', [handle], { dtype });
    const difference = graph.add(`${name}/difference`, 'Sub', [batch, old], { T });
    const momentum = graph.float(`${name}/momentum`, [BATCH_NORM_MOMENTUM], []);
    const change = graph.add(`${name}/change`, 'Mul', [difference, momentum], { T });
    return graph.add(name, 'AssignAddVariableOp', [handle, change], { dtype });
  }

  #verify(training: TrainingSpec): void {
    const { model } = this.spec;
    const random = createRandom(hashName(model.architecture.name), model.parameterCount);
    const parameters = Float32Array.from({ length: model.parameterCount }, () => 0.1 * random.nextNormal());
    this.write('parameters', parameters);
    const compiled = (batch: MicroBatch, temperature: number) => this.sums(batch, temperature);
    try {
      verifySums(this.spec, training, parameters, compiled, random);
    } catch (error) {
      this.close();
      throw error;
    }
  }
}

function tensorsOf(inputs: readonly TraceInput[]): Tensor[] {
  return inputs.map(({ tensor }) => tensor);
}
