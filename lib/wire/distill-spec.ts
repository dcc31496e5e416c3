/** How a job's students learn, and how what they learn from reaches them: `distill`. */
import type { LogitsEncoding } from '../distill/logits/format.ts';
import type { Scheduled } from '../distill/loss-schedule.ts';
import type { BuiltInTerm, CommonTerm } from '../distill/loss-terms.ts';

export interface DistillSpec {
  /** The total is the sum of weight x term, each term a mean over the batch. */
  readonly loss: readonly LossTermSpec[];
  /** Of the terms that have none of their own. */
  readonly temperature: Scheduled;
  /** How the answers of several teachers are joined. */
  readonly teachers: JoinSpec;
  /** How logits travel. `auto`: the smallest encoding whose error does not matter. */
  readonly logits: LogitsEncoding | 'auto';
  /** What students send: the ids of samples, whose images the teacher reads itself, or the images. */
  readonly request: 'ids' | 'pixels';
  readonly cache: LogitsCacheSpec;
  /** When no teacher is left: `continue` with logits in the cache and wait for those that are not, `wait` for a teacher, `fail`. */
  readonly withoutTeachers: 'continue' | 'wait' | 'fail';
  /** Where `averaging.reproducible` is false: requests of several students are computed together. */
  readonly merge: MergeSpec;
}

export interface JoinSpec {
  /**
   * `mean-logits`, `mean-probabilities` (at the temperature): weighted means. `by-class`: the teacher that `classes` names for the
   * sample's label answers. `most-confident`: for each sample the teacher whose largest probability is the largest.
   */
  readonly combine: 'mean-logits' | 'mean-probabilities' | 'by-class' | 'most-confident';
  /** Of the means, by teacher; 1 where not named. */
  readonly weights: Readonly<Record<string, number>>;
  /** For `by-class`: class names or ids, by teacher. */
  readonly classes: Readonly<Record<string, readonly (string | number)[]>>;
}

export interface LogitsCacheSpec {
  /** `auto`: where views come again, because they are off or by `cycle`. */
  readonly mode: 'auto' | 'on' | 'off';
  /** As `DistillSpec.logits`, of what is stored; `probabilities` cannot be. */
  readonly encoding: Exclude<LogitsEncoding, 'probabilities'> | 'auto';
}

export interface MergeSpec {
  /** Images that are computed at once. */
  readonly images: number;
  /** How long an image waits for others. */
  readonly delayMs: number;
}

export type LossTermSpec = BuiltInTerm | CustomLossSpec;

/** A term of the user's own. */
export interface CustomLossSpec extends CommonTerm {
  /** A path, as people write it, until the command line has put the code in its place. */
  readonly module: string | LossModule;
  /** JSON values, handed to the function. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** A module without imports, as it travels with the job. */
export interface LossModule {
  /** Of the source. */
  readonly digest: string;
  /** The file's name, for messages. */
  readonly name: string;
  /** ECMAScript. */
  readonly source: string;
}
