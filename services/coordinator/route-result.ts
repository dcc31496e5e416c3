/** What came of a route's evaluation by its rules, checked. Pure. */
import type { RouteRule } from '../../lib/wire/route-rules.ts';
import type { ReportedRule } from './job-events.ts';
import type { RuleResult } from './job-record.ts';

/**
 * Why a worker's report cannot be accepted, one sentence; undefined when it has a result for every rule that was asked
 * for, in that order, all of them on the same number of images.
 */
export function findRuleFault(asked: readonly RouteRule[], reported: readonly ReportedRule[]): string | undefined {
  const names = reported.map(({ rule }) => rule).join(', ');
  if (names !== asked.join(', ')) return `the rules ${asked.join(', ')} were to be tried, not ${names || 'none'}`;
  const idle = reported.find(({ evaluatedImages }) => evaluatedImages === 0);
  if (idle !== undefined) return `no image was evaluated by the rule ${idle.rule}`;
  const list = reported.map(({ rule, evaluatedImages }) => `${rule}: ${evaluatedImages}`).join(', ');
  if (new Set(reported.map(({ evaluatedImages }) => evaluatedImages)).size > 1) {
    return `the rules were tried on different numbers of images: ${list}`;
  }
  const wrong = reported.find(({ correct, evaluatedImages }) => correct > evaluatedImages);
  if (wrong === undefined) return undefined;
  return `the rule ${wrong.rule} has ${wrong.correct} right answers to ${wrong.evaluatedImages} images`;
}

/** The rule with the most right answers; of equal ones the later. The list is not empty and in the order of `ROUTE_RULES`. */
export function bestRule(results: readonly RuleResult[]): RuleResult {
  return results.reduce((best, one) => (one.correct >= best.correct ? one : best));
}
