/** From a job's `distill` block to how logits are sent and stored, and what that asks of the job. */
import { StillhouseError } from '../base/errors.ts';
import { type LogitsEncoding, type LogitsFormat, rowBytes } from '../distill/logits/format.ts';
import type { Scheduled } from '../distill/loss-schedule.ts';
import type { LogitsFormat as FormatMessage, LogitsFormat__Output } from './generated/stillhouse/v1/LogitsFormat.ts';
import { mayLookAtTeacher } from './job-losses.ts';
import type { Contradiction } from './job-relations.ts';
import type { DistillSpec, JobSpec, StudentSpec } from './job-spec.ts';
import { taughtBy } from './teaching.ts';

/** How a student's logits are sent. @param columns outputs of the student */
export function wireFormat({ distill }: JobSpec, columns: number): LogitsFormat {
  return formatFor(distill.logits, distill, columns);
}

/** How a teacher's logits are stored. `auto` stores no less than is sent. @param teacherClasses outputs of the teacher */
export function cacheFormat({ distill }: JobSpec, teacherClasses: number): LogitsFormat {
  const { logits, cache } = distill;
  // Only what all students can be answered from is stored without being asked for.
  const sent = logits === 'probabilities' || typeof logits !== 'string' ? 'auto' : logits;
  return formatFor(cache.encoding === 'auto' ? sent : cache.encoding, distill, teacherClasses);
}

function formatFor(asked: LogitsEncoding | 'auto', distill: DistillSpec, columns: number): LogitsFormat {
  const keepsAll = typeof asked !== 'string' && asked.topK >= columns;
  if (asked === 'auto' || keepsAll) return smallestFormat(columns);
  if (asked === 'probabilities') return { encoding: asked, columns, temperatures: [joinTemperature(distill)] };
  return { encoding: asked, columns, temperatures: typeof asked === 'string' ? [] : declaredTemperatures(distill) };
}

/** Those whose error does not matter, as measured: docs/decisions/0018-logits-encodings.md. Of equally small ones the first. */
const GOOD_ENOUGH = ['fp16', 'int8'] as const;

/** What `auto` means. */
export function smallestFormat(columns: number): LogitsFormat {
  const formats = GOOD_ENOUGH.map((encoding): LogitsFormat => ({ encoding, columns, temperatures: [] }));
  return formats.reduce((best, format) => (rowBytes(format) < rowBytes(best) ? format : best));
}

/**
 * The temperature of `mean-probabilities`, `most-confident` and softened probabilities: that of all terms that look at the
 * teacher, where they have one that is fixed; else 1, which only `most-confident` allows.
 */
export function joinTemperature(distill: DistillSpec): number {
  const temperatures = lookingTemperatures(distill);
  const [only] = temperatures;
  return temperatures.length === 1 && typeof only === 'number' ? only : 1;
}

/** Of the terms that look at the teacher, each once; those that never change as numbers. */
function lookingTemperatures({ loss, temperature }: DistillSpec): Scheduled[] {
  const fixed = (amount: Scheduled) =>
    typeof amount !== 'number' && amount.type === 'constant' ? amount.value : amount;
  const all = loss.filter(mayLookAtTeacher).map((term) => fixed(term.temperature ?? temperature));
  return [...new Map(all.map((each) => [JSON.stringify(each), each])).values()];
}

/** How many temperatures of a schedule are declared: its ends, and three between. */
const DECLARED = 5;
/** Where a warm-up's first temperature depends on the number of steps; below it a softmax hardly sees what topK leaves out. */
const WARM_UP_STEPS = 16;

/** Ascending; one at least, also where nothing looks at the teacher. */
function declaredTemperatures(distill: DistillSpec): number[] {
  const terms = lookingTemperatures(distill).flatMap(temperaturesOf);
  const chosenBy = distill.teachers.combine === 'most-confident' ? [joinTemperature(distill)] : [];
  const declared = [...new Set([...terms, ...chosenBy])].sort((a, b) => a - b);
  return declared.length === 0 ? [1] : declared;
}

function temperaturesOf(scheduled: Scheduled): number[] {
  if (typeof scheduled === 'number') return [scheduled];
  switch (scheduled.type) {
    case 'constant':
      return [scheduled.value];
    case 'step':
      return Array.from({ length: DECLARED }, (_, index) => scheduled.value * scheduled.factor ** index);
    case 'warm-up':
      return between(scheduled.value / ('steps' in scheduled ? scheduled.steps : WARM_UP_STEPS), scheduled.value);
    default:
      return between(scheduled.from, scheduled.to);
  }
}

/** From one to the other by equal factors; both ends exactly. */
function between(from: number, to: number): number[] {
  return Array.from({ length: DECLARED }, (_, index) => {
    if (index === DECLARED - 1) return to;
    return from * (to / from) ** (index / (DECLARED - 1));
  });
}

type Encoding = NonNullable<Extract<FormatMessage['encoding'], string>>;

const ENCODINGS: Readonly<Record<Extract<LogitsEncoding, string>, Encoding>> = {
  fp32: 'LOGITS_ENCODING_FP32',
  fp16: 'LOGITS_ENCODING_FP16',
  bf16: 'LOGITS_ENCODING_BF16',
  int8: 'LOGITS_ENCODING_INT8',
  int4: 'LOGITS_ENCODING_INT4',
  probabilities: 'LOGITS_ENCODING_PROBABILITIES',
};

export function formatMessage({ encoding, temperatures }: LogitsFormat): FormatMessage {
  const kind: FormatMessage =
    typeof encoding === 'string'
      ? { encoding: ENCODINGS[encoding], topK: 0 }
      : { encoding: 'LOGITS_ENCODING_TOP_K', topK: encoding.topK };
  return { ...kind, temperatures: [...temperatures] };
}

/** More than any loss has. */
const TEMPERATURES_MAX = 64;

/**
 * @param columns outputs of the student
 * @throws INVALID_ARGUMENT for what is no format, naming the field
 */
export function formatOf(message: LogitsFormat__Output | null, columns: number): LogitsFormat {
  const name = message?.encoding ?? 'LOGITS_ENCODING_UNSPECIFIED';
  const { topK = 0, temperatures = [] } = message ?? {};
  if (name === 'LOGITS_ENCODING_TOP_K') {
    if (topK < 1 || topK >= columns) throw refused('top_k', `a number from 1 to ${columns - 1}`, topK);
    const isAscending = temperatures.every((T, index) => T > (temperatures[index - 1] ?? 0) && Number.isFinite(T));
    if (!isAscending || temperatures.length < 1 || temperatures.length > TEMPERATURES_MAX) {
      throw refused('temperatures', `1 to ${TEMPERATURES_MAX} ascending temperatures above 0`, temperatures);
    }
    return { encoding: { topK }, columns, temperatures };
  }
  const encoding = Object.entries(ENCODINGS).find(([, each]) => each === name)?.[0];
  if (encoding === undefined) throw refused('encoding', Object.values(ENCODINGS).join(', '), name);
  if (encoding !== 'probabilities') {
    return { encoding: encoding as Extract<LogitsEncoding, string>, columns, temperatures: [] };
  }
  const [temperature] = temperatures;
  if (temperatures.length !== 1 || !(Number.isFinite(temperature) && (temperature as number) > 0)) {
    throw refused('temperatures', 'one temperature above 0', temperatures);
  }
  return { encoding, columns, temperatures };
}

function refused(field: string, expected: string, got: unknown): StillhouseError {
  const message = `format.${field}: expected ${expected}, got ${JSON.stringify(got)}`;
  return new StillhouseError('INVALID_ARGUMENT', message, { field: `format.${field}` });
}

/** What the encodings and the way answers are joined ask of the job. */
export function supplyProblems(job: JobSpec): Contradiction[] {
  return [...topKProblems(job), ...probabilityProblems(job), ...meanProblems(job), ...cacheProblems(job)];
}

function topKProblems(job: JobSpec): Contradiction[] {
  const { logits, teachers } = job.distill;
  if (typeof logits === 'string') return [];
  const problems = rawLogitsProblems(job, 'distill.logits names a topK');
  if (isMean(job.distill) && hasSeveralTeachers(job)) {
    const message = `by-class or most-confident, because distill.logits names a topK, and of several teachers' largest logits no mean can be taken (${teachers.combine})`;
    problems.push({ path: ['distill', 'teachers', 'combine'], message });
  }
  return problems;
}

function probabilityProblems(job: JobSpec): Contradiction[] {
  if (job.distill.logits !== 'probabilities') return [];
  return [
    ...rawLogitsProblems(job, 'distill.logits asks for probabilities'),
    ...temperatureProblems(job, 'distill.logits asks for probabilities, which are softened at it'),
  ];
}

function meanProblems(job: JobSpec): Contradiction[] {
  const { distill } = job;
  if (distill.logits === 'probabilities' || distill.teachers.combine !== 'mean-probabilities') return [];
  if (!hasSeveralTeachers(job)) return [];
  const reason = 'distill.teachers takes the mean of probabilities at it';
  return [
    ...rawLogitsProblems(job, 'distill.teachers takes the mean of probabilities'),
    ...temperatureProblems(job, reason),
  ];
}

/** Terms that look at logits themselves. */
function rawLogitsProblems({ distill }: JobSpec, reason: string): Contradiction[] {
  return distill.loss.flatMap((term, index) => {
    if (term.weight === 0 || !('type' in term) || term.type !== 'mse-logits') return [];
    const message = `a term of softmaxes, e.g. kl, because ${reason}: mse-logits needs all logits as they are`;
    return [{ path: ['distill', 'loss', index, 'type'], message }];
  });
}

function temperatureProblems({ distill }: JobSpec, reason: string): Contradiction[] {
  const temperatures = lookingTemperatures(distill);
  if (temperatures.length === 0 || (temperatures.length === 1 && typeof temperatures[0] === 'number')) return [];
  const message = `one fixed temperature for all terms, because ${reason}`;
  return [{ path: ['distill', 'temperature'], message }];
}

/** What is stored as its largest logits is sent as it is, and to every student. */
function cacheProblems({ distill, students }: JobSpec): Contradiction[] {
  const { cache, logits } = distill;
  const { encoding } = cache;
  if (typeof encoding === 'string' || cache.mode === 'off') return [];
  const path = ['distill', 'cache', 'encoding'];
  if (typeof logits === 'string' || logits.topK !== encoding.topK) {
    const message = `raw logits, e.g. int8, or distill.logits: {topK: ${encoding.topK}} beside it, because the others are not stored`;
    return [{ path, message }];
  }
  const index = students.findIndex((student) => !takesAllClasses(student));
  if (index === -1) return [];
  const message = `raw logits, e.g. int8, because students[${index}] has classes of its own or a dustbin, which need logits that topK leaves out`;
  return [{ path, message }];
}

/**
 * Rows of which only the largest logits are stored are sent as they are: they must be the students'.
 * @throws INVALID_ARGUMENT when the teacher's logits are stored so, and are of other classes than the data set's, or in another order
 */
export function requireStorable(
  job: JobSpec,
  { name, classNames }: { readonly name: string; readonly classNames: readonly string[] },
  dataset: { readonly classNames: readonly string[] },
): void {
  const { encoding } = cacheFormat(job, classNames.length);
  const isSame = JSON.stringify(classNames) === JSON.stringify(dataset.classNames);
  if (isSame || typeof encoding === 'string' || job.distill.cache.mode === 'off') return;
  const field = 'distill.cache.encoding';
  const message = `${field}: topK stores rows that are sent as they are, and teacher ${name} has other classes than the data set, or in another order`;
  throw new StillhouseError('INVALID_ARGUMENT', message, { field, hint: 'store raw logits: int8, fp16 or fp32' });
}

function takesAllClasses({ classes, dustbin }: StudentSpec): boolean {
  return classes === undefined && !dustbin;
}

function isMean({ teachers }: DistillSpec): boolean {
  return teachers.combine === 'mean-logits' || teachers.combine === 'mean-probabilities';
}

/** Whether any student learns from more than one. */
function hasSeveralTeachers(job: JobSpec): boolean {
  return job.students.some((student) => taughtBy(job, student).length > 1);
}
