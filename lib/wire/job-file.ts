/** Job files: from what people write to a `JobSpec`, or one error that lists every problem with its path and line. */
import type { z } from 'zod';
import { StillhouseError } from '../base/errors.ts';
import {
  type ArchitectureSpec,
  architectureLabel,
  isLayerList,
  resolveArchitecture,
} from '../model/architecture-choice.ts';
import { architectureNames } from '../model/zoo.ts';
import { classProblems } from './job-classes.ts';
import { type Problem, show } from './job-problem.ts';
import { jobSchema } from './job-schema.ts';
import { formatPath, type JobSource, type PathSegment, readJobSource, valueAt } from './job-source.ts';
import type { JobSpec, NetworkSpec, TeacherSpec } from './job-spec.ts';
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
    for (const [index, model] of spec[list].entries()) problems.push(...networkProblems([list, index], model));
  }
  if (classNames !== undefined) problems.push(...classProblems(spec, classNames));
  if (problems.length > 0) throw refusal(problems, locate, THE_JOB_FILE);
}

function networkProblems(path: readonly PathSegment[], model: NetworkSpec | TeacherSpec): Problem[] {
  if ('from' in model && model.from !== undefined) {
    const { from } = model;
    return from.type === 'weights' && from.arch !== undefined ? archProblems([...path, 'from', 'arch'], from.arch) : [];
  }
  const { arch, init, fineTune } = model;
  const problems = archProblems([...path, 'arch'], arch);
  if (fineTune !== 'all' && init === undefined) {
    const text = `${show(fineTune)} leaves the rest as init has it, but there is no init`;
    problems.push({ path: [...path, 'fineTune'], text });
  }
  return problems;
}

function archProblems(path: readonly PathSegment[], arch: ArchitectureSpec): Problem[] {
  const name = architectureLabel(arch);
  if (!isLayerList(arch) && !architectureNames.includes(name)) {
    const expected = `expected one of ${architectureNames.join(', ')}, or a file of layers`;
    return [{ path, text: `${expected}, got ${show(name)}${didYouMean(name, architectureNames)}` }];
  }
  const fault = faultOf(() => resolveArchitecture(arch));
  return fault === undefined ? [] : [{ path, text: fault }];
}

function faultOf(attempt: () => unknown): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return StillhouseError.from(error).message;
  }
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
