/** What a job publishes: its routes, the rules by which they answer, and whether the job's settings go together. */
import { StillhouseError } from '../base/errors.ts';
import { resolveClasses } from '../data/class-map.ts';
import type { JobSpec, StudentSpec } from './job-spec.ts';
import { dustbinObstacle, type RouteRule, rulesFor } from './route-rules.ts';

const CONTROL_SUFFIX = '-control';
/** Names of routes are labels: they become host names. */
const NAME_LENGTH_MAX = 63;

/** The route of a job's control arm, beside the job's own route. */
export function controlRouteOf(route: string): string {
  return `${route}${CONTROL_SUFFIX}`;
}

/** The route of the control arm's models. */
export function controlRouteName(spec: JobSpec): string {
  return controlRouteOf(spec.publish.route);
}

/** Under which a student is published, or its control arm. */
export function publishedName(spec: JobSpec, student: string, control: boolean): string {
  return `${spec.name}/${student}${control ? CONTROL_SUFFIX : ''}`;
}

/** The students that are published, each a leg of the routes. */
export function publishedStudents({ students }: Pick<JobSpec, 'students'>): StudentSpec[] {
  return students.filter(({ assistant }) => !assistant);
}

/** The rules that the job tries on its routes, one or all that its students allow; a route starts with the first. */
export function routeRules(job: JobSpec): RouteRule[] {
  const { rule } = job.publish;
  return rule === 'best' ? rulesFor(publishedStudents(job).every(({ dustbin }) => dustbin)) : [rule];
}

/**
 * Refuses settings about routes and floors that contradict each other, which would be found out only at the job's end.
 * @param classNames of the data set; without them overlapping classes go unnoticed
 * @throws INVALID_ARGUMENT naming the field
 */
export function checkRoutes(spec: JobSpec, classNames?: readonly string[]): void {
  checkRule(spec, classNames);
  checkControlRoute(spec);
  checkFloors(spec);
}

function checkRule(spec: JobSpec, classNames: readonly string[] | undefined): void {
  const { data, publish } = spec;
  const students = publishedStudents(spec);
  const place = (leg: number) => `students[${spec.students.indexOf(students[leg] as StudentSpec)}]`;
  if (publish.rule === 'best' && data.calibrate === 0) {
    throw refusal('publish.rule', 'best is chosen on the calibrate split, which has no images', 'set data.calibrate');
  }
  if (!routeRules(spec).includes('dustbin')) return;
  const legs = students.map(({ classes, dustbin }, leg) => {
    const named = classes ?? classNames ?? [];
    const classIds =
      classNames === undefined ? [] : resolveClasses(named, classNames, `${place(leg)}.classes`).classIds;
    return { classIds, dustbin };
  });
  const obstacle = dustbinObstacle(legs);
  if (obstacle?.kind === 'no-dustbin') {
    const text = `dustbin needs every student to have a dustbin, ${place(obstacle.leg)} has none`;
    throw refusal('publish.rule', text, DUSTBIN_HINT);
  }
  if (obstacle !== undefined) {
    const [first, second] = obstacle.legs.map((leg) => students[leg]?.name);
    const both = `"${classNames?.[obstacle.classId]}" is a class of ${first} and of ${second}`;
    throw refusal('publish.rule', `the rule dustbin needs students without common classes: ${both}`, RULE_HINT);
  }
}

const DUSTBIN_HINT = 'set dustbin: true for all students, or choose another rule';
const RULE_HINT = 'choose max-softmax or max-logit';

function checkControlRoute(spec: JobSpec): void {
  const { evaluate } = spec;
  if (!evaluate.controlRoute) return;
  if (!evaluate.control) {
    throw refusal('evaluate.controlRoute', 'there is no control arm to publish', 'set evaluate.control to true');
  }
  const name = controlRouteName(spec);
  if (name.length > NAME_LENGTH_MAX) {
    const text = `the control arm's route ${name} has ${name.length} characters, at most ${NAME_LENGTH_MAX} are allowed`;
    const longest = NAME_LENGTH_MAX - CONTROL_SUFFIX.length;
    throw refusal('publish.route', text, `choose a name of at most ${longest} characters`);
  }
  const published = publishedStudents(spec);
  for (const [index, student] of spec.students.entries()) {
    const other = published.find((one) => student.name === `${one.name}${CONTROL_SUFFIX}`);
    if (other === undefined || student.assistant) continue;
    const text = `the control arm of student ${other.name} is published as ${student.name}`;
    throw refusal(`students[${index}].name`, text, 'choose another name');
  }
}

function checkFloors(spec: JobSpec): void {
  const { evaluate } = spec;
  const { floors } = evaluate;
  if (floors.gain !== undefined && !evaluate.control) {
    const text = 'a gain is above the control arm, and there is none';
    throw refusal('evaluate.floors.gain', text, 'set evaluate.control to true');
  }
  const isRouteEvaluated = evaluate.routeImages !== 0;
  if (floors.route !== undefined && !isRouteEvaluated) {
    throw refusal('evaluate.floors.route', ROUTE_SKIPPED, ROUTE_SKIPPED_HINT);
  }
  const rules = routeRules(spec);
  for (const rule of Object.keys(floors.rules)) {
    const field = `evaluate.floors.rules.${rule}`;
    if (!isRouteEvaluated) throw refusal(field, ROUTE_SKIPPED, ROUTE_SKIPPED_HINT);
    if (rules.some((tried) => tried === rule)) continue;
    const text = `the route is not evaluated by this rule, only by ${rules.join(', ')}`;
    throw refusal(field, text, 'set publish.rule to best to have every rule tried that the students allow');
  }
}

const ROUTE_SKIPPED = 'the route is not evaluated, because evaluate.routeImages is 0';
const ROUTE_SKIPPED_HINT = 'raise evaluate.routeImages, or leave it out to take all test images';

function refusal(field: string, text: string, hint: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `${field}: ${text}`, { field, hint });
}
