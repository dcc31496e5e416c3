/** Looks at a model in training after every epoch, on samples that are held out for that, and keeps the best one's weights. */
import { monotonicMs } from '../base/clock.ts';
import { chooseEpoch, type EarlyStopping, type EpochChoice } from './early-stopping.ts';
import { type Evaluated, evaluate, type Questions } from './evaluate.ts';
import type { TrainableModel } from './trainable-model.ts';

/** How a model is chosen among those after each epoch. */
export interface EpochSelection {
  /** Held out of the training, with labels; at least one. */
  readonly questions: Questions;
  /** Whether the best model comes out, and not the last one. */
  readonly keepsBest: boolean;
  /** Null: all epochs are trained. */
  readonly stopping: EarlyStopping | null;
}

/** A model's state as it was after an epoch. */
export interface KeptWeights {
  /** From 1. */
  readonly epoch: number;
  /** Share of right answers, 0..1. */
  readonly accuracy: number;
  readonly parameters: Float32Array;
  readonly statistics: Float32Array;
}

/** What an epoch's model was found to be. */
export interface EpochVerdict extends EpochChoice {
  /** Share of right answers of this epoch's model, 0..1. */
  readonly accuracy: number;
  /** What looking took. */
  readonly tookMs: number;
}

export class EpochWatch {
  readonly #program: TrainableModel;
  readonly #evaluated: Evaluated;
  readonly #selection: EpochSelection;
  /** After each epoch so far. */
  readonly #accuracies: number[] = [];
  #best: KeptWeights | null = null;

  constructor(program: TrainableModel, evaluated: Evaluated, selection: EpochSelection) {
    this.#program = program;
    this.#evaluated = evaluated;
    this.#selection = selection;
  }

  /** The best model so far; null before the first epoch's end, and where the last one is kept. */
  get best(): KeptWeights | null {
    return this.#best;
  }

  /** Call it after every epoch, in order. Workers whose weights are equal and whose engines are alike get equal answers. */
  async look(signal: AbortSignal): Promise<EpochVerdict> {
    const startedMs = monotonicMs();
    const { questions, keepsBest, stopping } = this.#selection;
    const { correct, evaluated } = await evaluate(this.#evaluated, questions, signal);
    const accuracy = correct / evaluated;
    this.#accuracies.push(accuracy);
    const choice = chooseEpoch(this.#accuracies, stopping);
    const epoch = this.#accuracies.length;
    if (keepsBest && choice.bestEpoch === epoch) {
      const [parameters, statistics] = [await this.#program.read('parameters'), await this.#program.read('statistics')];
      this.#best = { epoch, accuracy, parameters, statistics };
    }
    return { ...choice, accuracy, tookMs: monotonicMs() - startedMs };
  }

  /** Makes the program the best model, where that is what comes out. */
  async restore(): Promise<void> {
    if (this.#best === null || this.#best.epoch === this.#accuracies.length) return;
    await this.#program.write('parameters', this.#best.parameters);
    await this.#program.write('statistics', this.#best.statistics);
  }
}
