/** How the answers of several specialists become one: pure functions of logits. */
import { indexOfMax } from '../../lib/base/vectors.ts';
import type { RouteRule } from '../../lib/wire/route-rules.ts';
import { combinedMasses, type LegBelief } from './combined-masses.ts';

/** What one specialist said to all rows of a request. */
export interface LegLogits {
  /** For each of the specialist's classes, its class in the route's `classNames`. */
  readonly classIds: readonly number[];
  /** Whether one more logit follows those of the classes: that the image is of none of them. */
  readonly dustbin: boolean;
  /** [rows, `classIds.length`, with a dustbin one more], finite. */
  readonly logits: Float32Array;
}

/** One entry per row. */
export interface Combination {
  /** Indices into the route's `classNames`. */
  readonly classes: Int32Array;
  /** Of that class: by `dustbin` among the classes of all specialists, by the other rules among those of the chosen one. */
  readonly probabilities: Float32Array;
  /** Indices into the legs. */
  readonly legs: Int32Array;
}

/** A specialist's answer to one row. */
interface RowLogits {
  /** Of its classes. */
  readonly own: Float32Array;
  /** Undefined without a dustbin. */
  readonly dustbin: number | undefined;
}

/** What a leg has to offer for one row. */
interface Bid {
  /** The leg's most likely class, as its output. */
  readonly output: number;
  /** What the answer carries if the leg is chosen, in single precision. */
  readonly probability: number;
  /** The row goes to the leg with the highest. */
  readonly score: number;
}

/**
 * The three rules. Of a leg with a dustbin the first two look at the logits of its classes alone.
 *
 * - `max-softmax`: the specialist whose softmax over its own classes is the most certain. Certainties are compared as the
 *   answer carries them, in single precision: two that round to 1 are a tie.
 * - `max-logit`: the specialist with the largest logit, which keeps what a softmax divides out: how strong the evidence is
 *   beside other images'. The probability is that of the winner's own softmax.
 * - `dustbin`: the likeliest class of the distribution that agrees best with all specialists, see `combined-masses.ts`; its
 *   probability there.
 */
const RULES: Readonly<Record<RouteRule, (answers: readonly RowLogits[]) => Bid[]>> = {
  'max-softmax': (answers) =>
    answers.map(({ own }) => {
      const output = indexOfMax(own);
      const probability = Math.fround(shareOf(output, own));
      return { output, probability, score: probability };
    }),
  'max-logit': (answers) =>
    answers.map(({ own }) => {
      const output = indexOfMax(own);
      return { output, probability: Math.fround(shareOf(output, own)), score: own[output] as number };
    }),
  dustbin: (answers) => {
    const masses = combinedMasses(answers.map(beliefOf));
    return answers.map(({ own }, leg) => {
      const output = indexOfMax(own);
      const probability = Math.fround((masses[leg] as number) * shareOf(output, own));
      return { output, probability, score: probability };
    });
  },
};

/**
 * Sends each row to one of the legs. Of equal scores the later leg wins, of equal logits within a leg the first.
 * @param legs of a route that allows the rule, see `rulesOf`
 */
export function combine(rule: RouteRule, legs: readonly LegLogits[], rows: number): Combination {
  const combination = {
    classes: new Int32Array(rows),
    probabilities: new Float32Array(rows),
    legs: new Int32Array(rows),
  };
  for (let row = 0; row < rows; row++) {
    const bids = RULES[rule](legs.map((leg) => rowOf(leg, row)));
    const chosen = indexOfLastMax(bids);
    const { output, probability } = bids[chosen] as Bid;
    combination.classes[row] = legs[chosen]?.classIds[output] as number;
    combination.probabilities[row] = probability;
    combination.legs[row] = chosen;
  }
  return combination;
}

function rowOf({ classIds, dustbin, logits }: LegLogits, row: number): RowLogits {
  const outputs = classIds.length + (dustbin ? 1 : 0);
  const start = row * outputs;
  const end = start + classIds.length;
  return { own: logits.subarray(start, end), dustbin: dustbin ? logits[end] : undefined };
}

function indexOfLastMax(bids: readonly Bid[]): number {
  let best = 0;
  bids.forEach(({ score }, index) => {
    if (score >= (bids[best] as Bid).score) best = index;
  });
  return best;
}

/** The softmax's entry of the largest logit, which needs no other entry: 1 / Σ exp(z − max z), free of overflow. */
function shareOf(largest: number, logits: Float32Array): number {
  return 1 / sumOfExp(logits, logits[largest] as number);
}

/** A softmax over the classes and the dustbin. Without a dustbin nothing is left to others. */
function beliefOf({ own, dustbin = Number.NEGATIVE_INFINITY }: RowLogits): LegBelief {
  const largest = Math.max(own[indexOfMax(own)] as number, dustbin);
  const ownSum = sumOfExp(own, largest);
  const dustbinTerm = Math.exp(dustbin - largest);
  const total = ownSum + dustbinTerm;
  return { own: ownSum / total, others: dustbinTerm / total };
}

function sumOfExp(logits: Float32Array, largest: number): number {
  return logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
}
