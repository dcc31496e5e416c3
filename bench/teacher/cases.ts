/** What the teacher benchmark trains, and how fast it is to be. */
import { jobSpecFromJson, jobSpecToJson } from '../../lib/wire/job-file.ts';

export interface Pair {
  readonly student: string;
  readonly teacher: string;
  /** Of a turn: what is measured at a time. */
  readonly steps: number;
}

/**
 * The teacher's forward pass costs no more than the student's step, so that one core for each is enough: what is measured is
 * what distilling itself costs. The second pair is larger, and its teacher far larger than its student.
 */
export const PAIRS: readonly Pair[] = [
  { student: 'resnet-8', teacher: 'resnet-14', steps: 40 },
  { student: 'resnet-20', teacher: 'resnet-34', steps: 24 },
];

export const MICRO_BATCH = 64;
export const STUDENT = 'student';
export const TEACHER = 'teacher';

/** How the student trains. */
export const ARMS = ['alone', 'teacher', 'replay', 'cache'] as const;
export type Arm = (typeof ARMS)[number];

export const ARM_TITLES: Readonly<Record<Arm, string>> = {
  alone: 'without distillation',
  teacher: 'teacher that computes, no cache',
  replay: 'teacher that answers from its cache',
  cache: 'cache that the student reads itself',
};

/** Of the speed without distillation. */
export const BARS: Readonly<Partial<Record<Arm, number>>> = { teacher: 0.9, cache: 0.98 };

export interface BenchJob {
  readonly student: string;
  readonly teacher: string;
  readonly microBatch: number;
  readonly steps: number;
  readonly stored: boolean;
}

/** Views come again in every epoch, so that what differs between the arms is where logits come from alone. */
export function benchJob({ student, teacher, microBatch, steps, stored }: BenchJob): string {
  const job = {
    apiVersion: 'stillhouse/v1',
    kind: 'Job',
    name: 'bench',
    seed: 7,
    data: { dataset: 'cifar10', train: steps * microBatch, test: 64, views: { flip: true, shift: 4, cycle: 1 } },
    teachers: [{ name: TEACHER, arch: teacher, train: { microBatch, epochs: 1 } }],
    students: [{ name: STUDENT, arch: student }],
    distill: { cache: { mode: stored ? 'on' : 'off' } },
    train: { lanes: 1, microBatch, epochs: 10_000, compile: 'required' },
    averaging: { workers: 1 },
  };
  return jobSpecToJson(jobSpecFromJson(JSON.stringify(job)));
}

/** Samples a second of one stream and one core on either side, from stored answers. */
export const STREAM_BAR = 100_000;
export const STREAM_BATCH = 256;
/** Batches that are stored, and asked for again and again. */
export const STREAM_STEPS = 40;
