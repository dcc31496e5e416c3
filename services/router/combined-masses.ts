/**
 * How much probability each specialist's classes get when specialists with a dustbin are joined.
 *
 * Hinton, Vinyals and Dean (Distilling the Knowledge in a Neural Network, 2015, arXiv:1503.02531, section 5.4) answer an
 * image by the distribution q over all classes that minimises Σ_m KL(p^m, q): p^m is specialist m's softmax over its
 * classes S_m and its dustbin, where q's share of all classes outside S_m counts as its dustbin. There is no generalist
 * here, and the S_m are disjoint and cover all classes that can be answered.
 *
 * Within S_m only specialist m has a say, so q ∝ p^m there, and the masses Q_m = Σ_{i in S_m} q_i are left: with d_m for
 * the dustbin's probability they minimise Σ_m [−(1 − d_m) log Q_m − d_m log(1 − Q_m)] where Σ Q_m = 1. The condition
 *
 *     −(1 − d_m) / Q_m + d_m / (1 − Q_m) + λ = 0
 *
 * makes each Q_m the root in [0, 1] of λQ² − (λ + 1)Q + (1 − d_m) = 0, which falls as λ grows. For two specialists that
 * is Q_1 = [(1 − d_1) + d_2] / 2.
 */

/** How one specialist divides its probability; the two add up to 1. */
export interface LegBelief {
  /** Of its own classes together, 1 − d. */
  readonly own: number;
  /** Of its dustbin, d. */
  readonly others: number;
}

/** Halvings of an interval a few units long that bring its ends as close as double precision tells the masses apart. */
const HALVINGS = 60;

/** The masses Q_m, in the order of the specialists; they add up to 1. One alone has all of it, whatever its dustbin. */
export function combinedMasses(beliefs: readonly LegBelief[]): number[] {
  const legs = beliefs.length;
  if (legs === 1) return [1];
  // Q is largest for d = 0, where it is 1 / λ for λ >= 1, and smallest for d = 1, where it is 1 + 1 / λ for λ <= −1: the sum
  // of n of them is at least 1 at the lower end and at most 1 at the upper one.
  let lower = -legs / (legs - 1);
  let upper = legs;
  for (let halving = 0; halving < HALVINGS; halving++) {
    const middle = (lower + upper) / 2;
    if (sum(beliefs.map((belief) => massAt(belief, middle))) >= 1) lower = middle;
    else upper = middle;
  }
  const masses = beliefs.map((belief) => massAt(belief, lower));
  const total = sum(masses);
  return masses.map((mass) => mass / total);
}

/** The root in [0, 1], in the form that subtracts nothing from its like. */
function massAt({ own, others }: LegBelief, lambda: number): number {
  if (lambda <= -1) {
    const root = Math.sqrt((lambda + 1) ** 2 - 4 * lambda * own);
    return (lambda + 1 - root) / (2 * lambda);
  }
  const discriminant = lambda > 0 ? (lambda - 1) ** 2 + 4 * lambda * others : (lambda + 1) ** 2 - 4 * lambda * own;
  return (2 * own) / (lambda + 1 + Math.sqrt(discriminant));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
