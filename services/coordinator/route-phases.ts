/**
 * The phases of a route: publication, the choice of its rule, evaluation. The job's own route has them, and before it the
 * control arm's, where that is published too. Pure; part of the machine.
 */
import { StillhouseError } from '../../lib/base/errors.ts';
import { parseModelManifest } from '../../lib/model/model-manifest.ts';
import { publishedStudents, routeRules } from '../../lib/wire/job-routes.ts';
import type { RouteRecord } from '../../lib/wire/records.ts';
import type { RouteRule } from '../../lib/wire/route-rules.ts';
import type { ClusterRouter, PublishedModel } from './job-events.ts';
import type { RuleResult } from './job-record.ts';
import type { Turn } from './job-turn.ts';
import { closePhase, emptyShare, finishedTasks, phaseTitle, startTasks } from './phase-life.ts';
import { bestRule, findRuleFault } from './route-result.ts';
import { workersOf } from './worker-choice.ts';

/** Time for a router to take a written route over. */
const ROUTE_LIMIT_MS = 60_000;

/** Has the models of the route written, and the route over them. Answers why the job has to fail, if it has to. */
export function startPublication(turn: Turn): string | undefined {
  const { students, controls } = turn.run;
  const models = turn.phase.subject === turn.spec.publish.route ? students : controls;
  try {
    write(turn, models, routeOver(turn, models));
  } catch (error) {
    return `${phaseTitle(turn.phase)}: ${StillhouseError.from(error).message}`;
  }
  return undefined;
}

function write(turn: Turn, models: readonly PublishedModel[], route: RouteRecord): void {
  turn.patchRun({ route, stage: { kind: 'publishing' } });
  turn.effects.push({ kind: 'publish', models, route });
}

/** The phase's route: one leg per student that is published, in the order of the job file, over all classes of the data set. */
function routeOver({ spec, phase }: Turn, models: readonly PublishedModel[]): RouteRecord {
  const manifests = models.map(({ name, manifestJson }) =>
    parseModelManifest(new TextEncoder().encode(manifestJson), `the manifest of ${name}`),
  );
  const legs = publishedStudents(spec).map((student, at) => {
    const { classIds = [], dustbin = false } = manifests[at] ?? {};
    if (dustbin !== student.dustbin) {
      const has = dustbin ? 'a dustbin' : 'no dustbin';
      throw new StillhouseError('FAILED_PRECONDITION', `${models[at]?.name} has ${has}, against the job file`);
    }
    return { specialist: student.name, modelDigest: models[at]?.digest ?? '', classIds: [...classIds], dustbin };
  });
  const classNames = [...(manifests[0]?.parentClassNames ?? [])];
  return { name: phase.subject, rule: routeRules(spec)[0] as RouteRule, classNames, legs };
}

/** Waits until a router has taken the route over. Answers why the job has to fail, if it has to. */
export function awaitRouter(turn: Turn, sinceMs: number): string | undefined {
  if (routersThatServe(turn).length > 0) {
    closePhase(turn);
    return undefined;
  }
  if (turn.nowMs - sinceMs <= ROUTE_LIMIT_MS) return undefined;
  return `${phaseTitle(turn.phase)}: no router took revision ${turn.run.routeRevision} over within ${ROUTE_LIMIT_MS / 1000} seconds; see the logs of specialists and router`;
}

/** Has images sent through the router: those of the calibrate split to choose the rule, else the test images. */
export function startEvaluation(turn: Turn): void {
  const router = routersThatServe(turn)[0];
  const workers = workersOf(turn.cluster, 'student').slice(0, 1);
  turn.patchPhase({ workers: workers.map(({ id }) => emptyShare(id, 0, 0)) });
  startTasks(turn, workers, {
    kind: 'evaluate-route',
    route: turn.phase.subject,
    routerAddress: router?.address ?? '',
    rules: rulesToTry(turn),
    split: turn.phase.kind === 'CHOOSE_RULE' ? 'calibrate' : 'test',
  });
}

/** All rules that the job tries, to choose among them; afterwards the route's own before the others. */
function rulesToTry({ phase, run, spec }: Turn): RouteRule[] {
  const rules = routeRules(spec);
  const own = run.route?.rule;
  if (phase.kind === 'CHOOSE_RULE' || own === undefined) return rules;
  return [own, ...rules.filter((rule) => rule !== own)];
}

/** Puts the route again with the best rule, if that is another one. Answers why the job has to fail, if it has to. */
export function completeChoice(turn: Turn): string | undefined {
  const results = resultsByRule(turn);
  if (typeof results === 'string') return results;
  const best = bestRule(results);
  turn.patchPhase({ rules: results, ...outcomeOf(best) });
  // What is left of the phase is the router's: losing the worker that counted no longer matters.
  turn.patchRun({ tasks: [] });
  const { route } = turn.run;
  if (route === undefined || route.rule === best.rule) closePhase(turn);
  else write(turn, [], { ...route, rule: best.rule });
  return undefined;
}

/** Takes the results of the evaluation in. Answers why they cannot be accepted, if they cannot. */
export function completeEvaluation(turn: Turn): string | undefined {
  const results = resultsByRule(turn);
  if (typeof results === 'string') return results;
  closePhase(turn, { rules: results, ...outcomeOf(results[0] as RuleResult) });
  return undefined;
}

function outcomeOf({ rule, correct, evaluatedImages }: RuleResult) {
  return { rule, accuracy: correct / evaluatedImages, evaluatedImages };
}

/** One per rule that was to be tried, in that order; or the sentence that says what is wrong with what came. */
function resultsByRule(turn: Turn): RuleResult[] | string {
  const asked = rulesToTry(turn);
  const reported = finishedTasks(turn)[0]?.result.rules ?? [];
  const fault = findRuleFault(asked, reported);
  if (fault !== undefined) return fault;
  return reported.map(({ correct, evaluatedImages }, at) => ({
    rule: asked[at] as RouteRule,
    correct,
    evaluatedImages,
  }));
}

function routersThatServe({ phase, cluster, run }: Turn): ClusterRouter[] {
  return cluster.routers.filter(({ routes }) => (routes[phase.subject] ?? 0) >= run.routeRevision);
}

/** What the phase waits for, when it needs the route and no router serves it. */
export function missingRouter(turn: Turn): string | undefined {
  const { kind, subject } = turn.phase;
  if ((kind !== 'CHOOSE_RULE' && kind !== 'EVALUATE_ROUTE') || routersThatServe(turn).length > 0) return undefined;
  return `waits for a router that serves route ${subject} at revision ${turn.run.routeRevision}`;
}
