/** How the answers of several specialists become one: pure functions of logits. */

/** What one specialist said to all rows of a request. */
export interface LegLogits {
  /** For each of the specialist's outputs, its class in the route's `classNames`. */
  readonly classIds: readonly number[];
  /** [rows, classIds.length], finite. */
  readonly logits: Float32Array;
}

/** One entry per row. */
export interface Combination {
  /** Indices into the route's `classNames`. */
  readonly classes: Int32Array;
  /** Of that class, among the classes of the specialist that was chosen. */
  readonly probabilities: Float32Array;
  /** Indices into the legs. */
  readonly legs: Int32Array;
}

/**
 * The rule `max-softmax`: each row goes to the specialist whose own softmax is the most certain. Probabilities are
 * compared as the answer carries them, in single precision; of equal ones the later leg wins, of equal logits within a
 * leg the first.
 */
export function combineMaxSoftmax(legs: readonly LegLogits[], rows: number): Combination {
  const classes = new Int32Array(rows);
  const probabilities = new Float32Array(rows);
  const chosen = new Int32Array(rows);
  legs.forEach((leg, index) => {
    const outputs = leg.classIds.length;
    for (let row = 0; row < rows; row++) {
      const { output, probability } = mostLikely(leg.logits.subarray(row * outputs, (row + 1) * outputs));
      if (probability < (probabilities[row] as number)) continue;
      classes[row] = leg.classIds[output] as number;
      probabilities[row] = probability;
      chosen[row] = index;
    }
  });
  return { classes, probabilities, legs: chosen };
}

/** The largest entry of a softmax, which needs no other entry: 1 / Σ exp(z − max z), free of overflow. */
function mostLikely(logits: Float32Array): { output: number; probability: number } {
  let output = 0;
  for (let index = 1; index < logits.length; index++) {
    if ((logits[index] as number) > (logits[output] as number)) output = index;
  }
  const largest = logits[output] as number;
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return { output, probability: Math.fround(1 / sum) };
}
