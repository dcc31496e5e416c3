/**
 * What a job is, with all defaults filled in: the one form in which the coordinator and the workers see it. `job-file.ts`
 * makes it from what people write.
 */

import type { Tail } from '../data/lanes.ts';
import type { ViewsSpec } from '../data/views.ts';
import type { CompileMode } from '../distill/step-spec.ts';
import type { Precision } from '../engine/precision.ts';
import type { ArchitectureSpec } from '../model/architecture-choice.ts';
import type { FineTune } from '../model/freeze.ts';
import type { DistillSpec } from './distill-spec.ts';
import type { RouteRule } from './route-rules.ts';
import type { TeacherSource } from './teacher-source.ts';

export type * from './distill-spec.ts';
export type * from './teacher-source.ts';

export interface JobSpec {
  readonly apiVersion: 'stillhouse/v1';
  readonly kind: 'Job';
  /** A label: lower-case letters, digits, `-`; at most 63. Published models are named `<job name>/<student name>`. */
  readonly name: string;
  /** 32 bits; everything random in the job follows from it. */
  readonly seed: number;
  readonly data: DataSpec;
  /** At least one. */
  readonly teachers: readonly TeacherSpec[];
  /** At least one; names are unique, also against the teachers'. */
  readonly students: readonly StudentSpec[];
  readonly distill: DistillSpec;
  readonly train: TrainSpec;
  readonly averaging: AveragingSpec;
  readonly evaluate: EvaluateSpec;
  /** No settings yet. */
  readonly calibrate: EmptySpec;
  /** No settings yet. */
  readonly gate: EmptySpec;
  readonly publish: PublishSpec;
  readonly limits: LimitsSpec;
}

export type EmptySpec = Readonly<Record<string, never>>;

export interface DataSpec {
  /**
   * Name of a data set in the services' folder of data sets; a path, outside that folder only where services allow it; or an
   * address, `https://…` or `s3://…`, of a folder with a `manifest.json`, where services allow that.
   */
  readonly dataset: string;
  /**
   * Domain adaptation: `dataset` is the target domain, this one the source. All its training images are trained on, with
   * their labels, besides those of the target. Calibration and test are the target's alone. Absent: one domain.
   */
  readonly source?: SourceDomainSpec | undefined;
  /** Class names or ids: the job knows these classes only, numbered in this order. Absent: all. */
  readonly classes?: readonly (string | number)[] | undefined;
  /** Training images, drawn by the seed; absent: all that `calibrate` leaves. */
  readonly train?: number | undefined;
  /**
   * How many of the training images have labels that the job looks at, drawn by the seed, as evenly over the classes as
   * they reach. The others count by the teacher's answers alone. Absent: all; with a `source`, none, besides the source's.
   */
  readonly labelled?: number | undefined;
  /** Share of the labelled training images whose label is replaced by another class, drawn by the seed: for experiments. */
  readonly labelNoise: number;
  /**
   * Weights of the classes in `cross-entropy` terms; others are not weighed. `balanced`: inversely proportional to how often the labelled
   * training images have the class, and 1 on average over them. By name; 1 where not named. Absent: all 1.
   */
  readonly classWeights?: 'balanced' | Readonly<Record<string, number>> | undefined;
  /** What to do about samples that the import found damaged: refuse the job, or go on without up to so many. */
  readonly badSamples: 'fail' | { readonly skip: number };
  /** Mean and standard deviation of the pixels, for models that start afresh. `auto`: the data set's own. */
  readonly normalize: NormalizeSpec;
  /** Images cut from the training split for calibration and for the choice of checkpoints. */
  readonly calibrate: number;
  /** Test images, drawn by the seed; absent: all. */
  readonly test?: number | undefined;
  /** Augmentation, the same pixels for teacher and student. */
  readonly views: ViewsSpec;
}

export interface SourceDomainSpec {
  /** As `DataSpec.dataset`. Its images become those of the target in size and channels. */
  readonly dataset: string;
  /** How its classes become the target's: those of the same name, which must be all; or by their numbers. */
  readonly match: 'name' | 'position';
}

/** Presets: of ImageNet and of CIFAR-10's training images. Pixels count as 0..1. */
export type NormalizeSpec =
  | 'auto'
  | 'imagenet'
  | 'cifar10'
  | { readonly mean: readonly [number, number, number]; readonly std: readonly [number, number, number] };

/** What teachers and students have in common. */
export interface NetworkSpec {
  readonly name: string;
  /** An architecture of the zoo, by name or with a changed dropout, or a list of layers. */
  readonly arch: ArchitectureSpec;
  /**
   * What to start from: a published model (name or digest), `pretrained:<name>`, or a path to a file of weights. Same
   * architecture; with other classes the classifier starts afresh. Absent: seeded weights.
   */
  readonly init?: string | undefined;
  /** Height and width to which images are scaled; absent: that of `init`, else the data set's. */
  readonly inputSize?: number | undefined;
  /** Which parameters move; the others, and their batch norms' statistics, stay as `init` has them. */
  readonly fineTune: FineTune;
}

export type TeacherSpec = TrainedTeacherSpec | GivenTeacherSpec;

/** A teacher that the job trains. */
export interface TrainedTeacherSpec extends NetworkSpec {
  readonly from?: undefined;
  readonly train: TeacherTrainSpec;
  /**
   * What the teacher sees, in its training and when students ask it; absent: the same views as the students. Without any
   * augmentation it answers each image once, and the answer is kept.
   */
  readonly views?: ViewsSpec | undefined;
}

/** A teacher that is there already, of any framework: it is evaluated and then served as it is. */
export interface GivenTeacherSpec {
  readonly name: string;
  readonly from: TeacherSource;
  /** As `TrainedTeacherSpec.views`. */
  readonly views?: ViewsSpec | undefined;
}

export interface StudentSpec extends NetworkSpec {
  /** Class names, or ids in the data set, in the order of the student's outputs; absent: all classes. */
  readonly classes?: readonly (string | number)[] | undefined;
  /**
   * One more output, for images of none of the classes (Hinton, Vinyals and Dean 2015, section 5.3). Such a student is
   * trained on all images; one without, on those of its classes.
   */
  readonly dustbin: boolean;
  /**
   * Share of the student's training images that are of other classes, for a student with a dustbin: so many of them are
   * drawn by the seed. Absent: all of them.
   */
  readonly dustbinShare?: number | undefined;
  /** Whom it learns from, by name: teachers, and students before it in the file. Absent: all `teachers`. */
  readonly teachers?: readonly string[] | undefined;
  /** It is there to teach students after it, and is not published. It has no control arm. */
  readonly assistant: boolean;
}

export interface TrainSpec {
  /** Micro-batches per step; the global batch is lanes x microBatch, whatever the number of workers. */
  readonly lanes: number;
  /** Images per lane and step. */
  readonly microBatch: number;
  readonly epochs: number;
  /** What becomes of the samples of an epoch that fill no whole step. */
  readonly tail: Tail;
  /** A checkpoint is stored after every so many epochs, the last one apart; 0: none. The control arm has none. */
  readonly checkpointEpochs: number;
  readonly optimizer: OptimizerSpec;
  /** In which forward and backward passes compute. Weights, sums and updates are float32. */
  readonly precision: Precision;
  /** `auto`: a step that cannot be compiled runs eagerly, slowly, and says so; `required`: it is refused. */
  readonly compile: CompileMode;
  /** Which model comes out: that of the last epoch, or the best on the calibrate split, which is then looked at after every epoch. */
  readonly keep: 'last' | 'best';
  /** Ends the training when it gets no better on the calibrate split; absent: all epochs. */
  readonly earlyStopping?: EarlyStoppingSpec | undefined;
}

export interface TeacherTrainSpec extends TrainSpec {
  /** Teacher-workers that train it together; at most `lanes`. */
  readonly workers: number;
}

export interface EarlyStoppingSpec {
  /** Epochs without getting better after which the training ends. */
  readonly patience: number;
  /** By how much the share of right answers must grow to count as better. */
  readonly minDelta: number;
}

export type OptimizerSpec = AdamSpec | AdamwSpec | SgdSpec;

export interface AdamSpec extends OptimizerCommon {
  readonly type: 'adam';
}

/** Adam with decoupled weight decay. */
export interface AdamwSpec extends OptimizerCommon {
  readonly type: 'adamw';
}

export interface SgdSpec extends OptimizerCommon {
  readonly type: 'sgd';
  readonly momentum: number;
  readonly nesterov: boolean;
}

export interface OptimizerCommon {
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly schedule: ScheduleSpec;
  /** Longest gradient, by its Euclidean norm over all that is trained; longer ones are scaled down. Absent: no limit. */
  readonly clipNorm?: number | undefined;
}

/** How the learning rate moves after `warmupSteps` steps of linear growth. */
export type ScheduleSpec =
  | { readonly type: 'constant'; readonly warmupSteps: number }
  | { readonly type: 'cosine'; readonly warmupSteps: number }
  | {
      readonly type: 'step';
      readonly warmupSteps: number;
      /** The rate is multiplied by `factor` after every so many steps. */
      readonly everySteps: number;
      readonly factor: number;
    };

export interface AveragingSpec {
  /** Student-workers that train one student together; at most `train.lanes`. */
  readonly workers: number;
  /** Largest payload of one message on the bus. */
  readonly chunkKiB: number;
  /** A missing part is asked for again after this long. */
  readonly stallTimeoutMs: number;
  /**
   * Whether runs are bit-identical whatever the number of workers: teachers then compute each lane's micro-batch by itself at one
   * fixed shape, and workers are of one device class.
   */
  readonly reproducible: boolean;
}

export interface EvaluateSpec {
  /** Train every student once more without the teacher, to compare with. */
  readonly control: boolean;
  /** Publish the control arm's models too, as route `<route>-control`, and evaluate it like the job's own. */
  readonly controlRoute: boolean;
  /** Test images that teachers are evaluated on; absent: all of them. */
  readonly teacherImages?: number | undefined;
  /** Test images sent through the router at the end; absent: all of them. */
  readonly routeImages?: number | undefined;
  /** The job fails at its end when its test accuracies are below these. Nothing is chosen by them. */
  readonly floors: FloorsSpec;
}

/** Shares of right answers, 0..1; absent: no floor. */
export interface FloorsSpec {
  /** Of every teacher. */
  readonly teacher?: number | undefined;
  /** Of every student above its control arm. */
  readonly gain?: number | undefined;
  /** Of the route, by the rule that was chosen. */
  readonly route?: number | undefined;
  /** Of the route, by each of these rules. */
  readonly rules: Readonly<Partial<Record<RouteRule, number>>>;
}

export interface PublishSpec {
  /** The model name under which the router serves the students. */
  readonly route: string;
  /** `best`: all rules that the students allow are compared on the calibrate split, and the best one is published. */
  readonly rule: RouteRule | 'best';
}

export interface LimitsSpec {
  /** How long the job waits for workers before it fails, and its students for a teacher. */
  readonly workerWaitSeconds: number;
  /** The job fails when it has run for longer; absent: no limit. */
  readonly deadlineMinutes?: number | undefined;
  /** What `--quick` changes: paths in this file and the values they take. */
  readonly quick: Readonly<Record<string, unknown>>;
}
