/** `evaluate.floors` against what a job came to. Pure. */
import { publishedStudents } from './job-routes.ts';
import type { JobSpec } from './job-spec.ts';
import type { RouteRule } from './route-rules.ts';

/** Accuracies on test images, 0..1; null where nothing was measured. */
export interface MeasuredAccuracies {
  teacher(name: string): number | null;
  /** Trained with the teacher. */
  student(name: string): number | null;
  /** The same student trained without it. */
  control(name: string): number | null;
  /** Of the job's route, by its own rule. */
  route(): number | null;
  /** Of the job's route, by this rule. */
  rule(rule: RouteRule): number | null;
}

export interface FloorResult {
  readonly what: 'teacher' | 'gain' | 'route' | 'rule';
  /** The teacher, the student, the route. */
  readonly subject: string;
  /** Of a floor for a rule. */
  readonly rule?: RouteRule;
  /** A share, or for a gain a difference of shares. */
  readonly floor: number;
  /** What it came to; null where nothing was measured, which misses every floor. */
  readonly value: number | null;
  readonly isReached: boolean;
}

/** Differences of shares of images are far larger; this is for 0.59 - 0.5 against 0.09. */
const ROUNDING = 1e-9;

/** One result per floor and what it is about, in the order of the job file. */
export function floorResults(spec: JobSpec, measured: MeasuredAccuracies): FloorResult[] {
  const { teacher, gain, route, rules } = spec.evaluate.floors;
  const results: FloorResult[] = [];
  const add = (entry: Pick<FloorResult, 'what' | 'subject' | 'rule'>, value: number | null, floor?: number) => {
    if (floor === undefined) return;
    results.push({ ...entry, floor, value, isReached: value !== null && value >= floor - ROUNDING });
  };
  for (const { name } of spec.teachers) add({ what: 'teacher', subject: name }, measured.teacher(name), teacher);
  for (const { name } of publishedStudents(spec)) {
    const [distilled, control] = [measured.student(name), measured.control(name)];
    const gained = distilled === null || control === null ? null : distilled - control;
    add({ what: 'gain', subject: name }, gained, gain);
  }
  const subject = spec.publish.route;
  add({ what: 'route', subject }, measured.route(), route);
  for (const [name, floor] of Object.entries(rules)) {
    const rule = name as RouteRule;
    add({ what: 'rule', subject, rule }, measured.rule(rule), floor);
  }
  return results;
}
