/** A route as it lies in the registry, checked before anything is routed by it. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { decodeRoute, type RouteRecord } from '../../lib/wire/records.ts';
import { type RouteRule, rulesFor } from '../../lib/wire/route-rules.ts';

/** @throws DATA_LOSS naming what is wrong: the record is malformed, or contradicts itself. */
export function parseRoute(bytes: Uint8Array, where: string): RouteRecord {
  const route = decodeRoute(bytes, where);
  const names = route.legs.map(({ specialist }) => specialist);
  if (new Set(names).size !== names.length) throw broken(where, 'two legs have the same specialist name');
  const stray = route.legs.find(({ classIds }) => classIds.some((id) => id >= route.classNames.length));
  if (stray !== undefined) {
    throw broken(where, `specialist "${stray.specialist}" has a class beyond the route's ${route.classNames.length}`);
  }
  const obstacle = dustbinObstacle(route);
  if (route.rule === 'dustbin' && obstacle !== undefined) throw broken(where, `rule dustbin: ${obstacle}`);
  return route;
}

/** The rules by which the route's legs can be combined. */
export function rulesOf(route: RouteRecord): RouteRule[] {
  return rulesFor(dustbinObstacle(route) === undefined);
}

/** Why the rule `dustbin` cannot join these legs, if it cannot: a class counts once, and every leg says what it leaves. */
function dustbinObstacle({ classNames, legs }: RouteRecord): string | undefined {
  const without = legs.find(({ dustbin }) => !dustbin);
  if (without !== undefined) return `specialist "${without.specialist}" has no dustbin`;
  const all = legs.flatMap(({ classIds }) => classIds);
  const twice = all.find((id, at) => all.indexOf(id) !== at);
  return twice === undefined ? undefined : `class "${classNames[twice]}" is answered twice`;
}

function broken(where: string, what: string): StillhouseError {
  return new StillhouseError('DATA_LOSS', `${where}: ${what}`);
}
