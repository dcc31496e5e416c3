/** Job files: from what people write to a `JobSpec`, or one error that lists every problem with its path and line. */
import type { z } from 'zod';
import { StillhouseError } from '../base/errors.ts';
import { architectureLabel, isLayerList, resolveArchitecture } from '../model/architecture-choice.ts';
import { architectureNames } from '../model/zoo.ts';
import { jobSchema } from './job-schema.ts';
import { formatPath, type JobSource, type PathSegment, readJobSource, valueAt } from './job-source.ts';
import type { JobSpec, NetworkSpec } from './job-spec.ts';
import { didYouMean } from './suggest.ts';

export type * from './job-spec.ts';

export interface ParseOptions {
  /** What the text is called in messages: a file name. */
  readonly where?: string;
  /** `a.b=c`, later ones win; values are YAML scalars or flow collections. */
  readonly overrides?: readonly string[];
  /** Applies `limits.quick`, before the overrides. */
  readonly quick?: boolean;
}

export interface JobFile {
  readonly spec: JobSpec;
  /** Where a path was written, for messages: ` (cifar10.yaml line 12)`, ` (from --set)`; empty when not known. */
  locate(path: readonly PathSegment[]): string;
}

const THE_JOB_FILE = 'the job file';

interface Problem {
  readonly path: readonly PathSegment[];
  /** The sentence after the path, without the place. */
  readonly text: string;
}

/** Parses YAML or JSON text. Throws INVALID_ARGUMENT with `field` = the first path at fault and a line per problem. */
export function parseJobFile(text: string, options: ParseOptions = {}): JobSpec {
  return readJobFile(text, options).spec;
}

/** As `parseJobFile`, and keeps the places for later checks against what a cluster knows. */
export function readJobFile(text: string, options: ParseOptions = {}): JobFile {
  const where = options.where ?? THE_JOB_FILE;
  const source = readJobSource(text, where, { overrides: options.overrides ?? [], quick: options.quick === true });
  const spec = checkSource(source, where);
  // A slip in limits.quick must not wait for the first --quick.
  if (options.quick !== true && Object.keys(spec.limits.quick).length > 0) {
    checkSource(readJobSource(text, where, { overrides: [], quick: true }), where);
  }
  return { spec, locate: source.locate };
}

/** Reads `Job.spec_json` and `StartTask.job_json`. */
export function jobSpecFromJson(json: string): JobSpec {
  const where = 'the job specification';
  return checkSource(readJobSource(json, where, { overrides: [], quick: false }), where);
}

/**
 * The text to submit for a spec that overrides or `quick` may have changed. What `quick` would do has been decided by
 * then, and need not fit the changed values any more: it is left out.
 */
export function jobSpecToJson(spec: JobSpec): string {
  return JSON.stringify({ ...spec, limits: { ...spec.limits, quick: {} } });
}

/**
 * Refuses architectures and classes that do not exist, and classes named twice; throws like `parseJobFile`.
 * @param classNames of the data set, in the order of their ids; undefined when it is not at hand
 */
export function validateJob(
  spec: JobSpec,
  classNames: readonly string[] | undefined,
  locate: JobFile['locate'] = () => '',
): void {
  const problems: Problem[] = [];
  for (const list of ['teachers', 'students'] as const) {
    for (const [index, network] of spec[list].entries()) problems.push(...networkProblems([list, index], network));
  }
  if (classNames !== undefined) problems.push(...classProblems(spec, classNames));
  if (problems.length > 0) throw refusal(problems, locate, THE_JOB_FILE);
}

function networkProblems(path: readonly PathSegment[], { arch, init, fineTune }: NetworkSpec): Problem[] {
  const problems: Problem[] = [];
  const name = architectureLabel(arch);
  if (!isLayerList(arch) && !architectureNames.includes(name)) {
    const expected = `expected one of ${architectureNames.join(', ')}, or a file of layers`;
    const text = `${expected}, got ${show(name)}${didYouMean(name, architectureNames)}`;
    problems.push({ path: [...path, 'arch'], text });
  } else {
    const fault = faultOf(() => resolveArchitecture(arch));
    if (fault !== undefined) problems.push({ path: [...path, 'arch'], text: fault });
  }
  if (fineTune !== 'all' && init === undefined) {
    const text = `${show(fineTune)} leaves the rest as init has it, but there is no init`;
    problems.push({ path: [...path, 'fineTune'], text });
  }
  return problems;
}

function faultOf(attempt: () => unknown): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return StillhouseError.from(error).message;
  }
}

function classProblems(spec: JobSpec, classNames: readonly string[]): Problem[] {
  const problems: Problem[] = [];
  for (const [index, student] of spec.students.entries()) {
    const seen = new Map<number, number>();
    for (const [position, entry] of (student.classes ?? []).entries()) {
      const path = ['students', index, 'classes', position];
      const id = typeof entry === 'number' ? entry : classNames.indexOf(entry);
      const first = seen.get(id);
      if (id < 0 || id >= classNames.length) {
        const expected =
          typeof entry === 'number' ? `a class id from 0 to ${classNames.length - 1}` : classList(classNames);
        const hint = typeof entry === 'string' ? didYouMean(entry, classNames) : '';
        problems.push({ path, text: `expected ${expected}, got ${show(entry)}${hint}` });
      } else if (first !== undefined) {
        const text = `expected every class once, got ${show(entry)} again (class ${id}, "${classNames[id]}", is entry ${first})`;
        problems.push({ path, text });
      } else seen.set(id, position);
    }
  }
  return [...problems, ...weightProblems(spec, classNames)];
}

function weightProblems({ data: { classWeights } }: JobSpec, classNames: readonly string[]): Problem[] {
  if (classWeights === undefined || classWeights === 'balanced') return [];
  return Object.keys(classWeights)
    .filter((name) => !classNames.includes(name))
    .map((name) => ({
      path: ['data', 'classWeights', name],
      text: `unknown class; expected ${classList(classNames)}${didYouMean(name, classNames)}`,
    }));
}

function classList(classNames: readonly string[]): string {
  return `a class of the data set: ${classNames.slice(0, 20).join(', ')}${classNames.length > 20 ? ', …' : ''}`;
}

function checkSource(source: JobSource, where: string): JobSpec {
  const result = jobSchema.safeParse(source.value);
  if (result.success) return result.data;
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const problem of result.error.issues.flatMap((issue) => describeIssue(issue, source.value))) {
    const key = formatPath(problem.path);
    if (!seen.has(key)) problems.push(problem);
    seen.add(key);
  }
  throw refusal(problems, source.locate, where);
}

function describeIssue(issue: z.core.$ZodIssue, root: unknown): Problem[] {
  const path = issue.path.map((segment) => (typeof segment === 'number' ? segment : String(segment)));
  if (issue.code === 'unrecognized_keys') {
    const known = issue.message === '' ? [] : issue.message.split(', ');
    const expected = known.length === 0 ? 'there are no settings here yet' : `expected one of ${issue.message}`;
    return issue.keys.map((key) => ({
      path: [...path, key],
      text: `unknown key; ${expected}${didYouMean(key, known)}`,
    }));
  }
  const found = valueAt(root, path);
  return [
    { path, text: `expected ${issue.message}, ${found === undefined ? 'but it is missing' : `got ${show(found)}`}` },
  ];
}

function refusal(problems: readonly Problem[], locate: JobFile['locate'], where: string): StillhouseError {
  const lines = problems.map(({ path, text }) => {
    const name = formatPath(path);
    return `${name === '' ? where : name}: ${text}${locate(path)}`;
  });
  const field = formatPath(problems[0]?.path ?? []);
  const message = lines.length === 1 ? lines[0] : [`${lines.length} problems in ${where}:`, ...lines].join('\n  ');
  return new StillhouseError('INVALID_ARGUMENT', message ?? where, field === '' ? {} : { field });
}

const SHOWN_CHARACTERS = 60;

function show(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (value === null) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`;
}
