/** How a student's phase got its logits: figures, and the lines that say them. Pure. */
import type { Job } from './coordinator-client.ts';
import { counted, grouped, percent, rate, table } from './text.ts';

type Phase = Job['phases'][number];

export interface Teaching {
  /**
   * Share of the training's time for which the student-worker that waited longest waited for logits, 0..1; null where it is not
   * known.
   */
  readonly waitShare: number | null;
  /** Samples that were trained on with logits. */
  readonly samples: number;
  /** Of their logits, those that were stored already, whoever read them: the cache's hit rate; null before the first sample. */
  readonly cachedShare: number | null;
  /** Of an answer that came from a teacher; null where none did. */
  readonly bytesPerSample: number | null;
  /** Batches that were sent to another teacher, because the first was slow or gone, and answers that came twice for that. */
  readonly resentBatches: number;
  readonly duplicateAnswers: number;
  readonly teachers: readonly TeacherUse[];
  /** What could be done about students that wait; empty if nothing. */
  readonly advice: string;
  /** Teacher-workers with which students would not wait; null while unknown. */
  readonly teachersWanted: number | null;
}

/** One teacher on one teacher-worker. */
export interface TeacherUse {
  readonly teacher: string;
  readonly workerId: string;
  /** Share of the time since it was loaded for which it computed, 0..1; null where it is not known. */
  readonly utilisation: number | null;
  /** That wait or are being computed. */
  readonly queuedSamples: number;
  /** Answered, each once. */
  readonly samples: number;
  /** Of the answers, those from stored logits; null before the first. */
  readonly cachedShare: number | null;
  readonly repeatedSamples: number;
  readonly refusedBatches: number;
  readonly bytesPerSample: number | null;
}

/** Null for phases without a teacher, and before one has answered or the cache has. */
export function teachingOf(phase: Phase | undefined): Teaching | null {
  if (phase === undefined || phase.kind !== 'PHASE_KIND_DISTIL') return null;
  const { workers, advice, teachersWanted } = phase;
  const samples = sum(workers, ({ teacherSamples }) => teacherSamples);
  const own = sum(workers, ({ cachedSamples }) => cachedSamples);
  if (samples === 0 && phase.teachers.length === 0 && advice === '') return null;
  const bytes = sum(workers, ({ logitsBytesReceived }) => logitsBytesReceived);
  // Every teacher of a student answers each of its samples; where none is there, all of them are stored.
  const teachers = new Set(phase.teachers.map(({ teacher }) => teacher)).size;
  const answers = samples * Math.max(1, teachers);
  const stored = own + sum(phase.teachers, ({ samplesCached }) => samplesCached);
  return {
    waitShare: waitShare(phase, ({ teacherWaitMs }) => teacherWaitMs),
    samples,
    cachedShare: answers === 0 ? null : Math.min(1, stored / answers),
    bytesPerSample: quotient(bytes, answers - own),
    resentBatches: sum(workers, ({ batchesResent }) => batchesResent),
    duplicateAnswers: sum(workers, ({ duplicateAnswers }) => duplicateAnswers),
    teachers: phase.teachers.map(teacherUse),
    advice,
    teachersWanted: teachersWanted === 0 ? null : teachersWanted,
  };
}

function teacherUse(share: Phase['teachers'][number]): TeacherUse {
  const { teacher, workerId, samplesServed, samplesRepeated, samplesCached } = share;
  const answered = samplesServed + samplesRepeated;
  const busy = quotient(share.computeMs, share.servingMs);
  return {
    teacher,
    workerId,
    utilisation: busy === null ? null : Math.min(1, busy),
    queuedSamples: share.samplesQueued,
    samples: samplesServed,
    cachedShare: answered === 0 ? null : Math.min(1, samplesCached / answered),
    repeatedSamples: samplesRepeated,
    refusedBatches: share.batchesRefused,
    bytesPerSample: quotient(share.bytesSent, answered),
  };
}

/**
 * Share of the training's time for which the worker that waited longest waited, 0..1; null where nothing was trained. The time
 * is that of the steps, without compiling and evaluating.
 */
export function waitShare(phase: Phase, waitMs: (share: Phase['workers'][number]) => number): number | null {
  const images = sum(phase.workers, ({ samplesCommitted }) => samplesCommitted);
  if (images === 0 || phase.imagesPerSecond <= 0) return null;
  const trainingMs = (1000 * images) / phase.imagesPerSecond;
  return Math.min(1, Math.max(...phase.workers.map(waitMs)) / trainingMs);
}

/** What is said below the line of a phase. */
export function teachingLines({ samples, cachedShare, bytesPerSample, ...rest }: Teaching): string[] {
  const logits = [`${grouped(samples)} samples with logits`, `${percent(cachedShare)} from the cache`];
  if (bytesPerSample !== null) logits.push(`${rate(bytesPerSample)} bytes a sample from teachers`);
  if (rest.resentBatches > 0) logits.push(`${counted(rest.resentBatches, 'batch', 'batches')} sent again`);
  if (rest.duplicateAnswers > 0) logits.push(`${counted(rest.duplicateAnswers, 'duplicate answer')}`);
  const rows = rest.teachers.map((use) => [
    use.teacher,
    use.workerId,
    percent(use.utilisation),
    grouped(use.queuedSamples),
    grouped(use.samples),
    percent(use.cachedShare),
    grouped(use.repeatedSamples),
    grouped(use.refusedBatches),
    use.bytesPerSample === null ? '-' : rate(use.bytesPerSample),
  ]);
  const head = ['teacher', 'on', 'busy', 'queued', 'samples', 'cached', 'repeated', 'refused', 'bytes/sample'];
  return [
    logits.join(', '),
    ...(rows.length === 0 ? [] : table([head, ...rows])),
    ...(rest.advice === '' ? [] : [rest.advice]),
  ];
}

function quotient(one: number, other: number): number | null {
  return other > 0 ? one / other : null;
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0);
}
