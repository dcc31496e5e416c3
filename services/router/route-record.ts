/** A route as it lies in the registry, checked before anything is routed by it. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { decodeRoute, type RouteRecord } from '../../lib/wire/records.ts';
import { type DustbinObstacle, dustbinObstacle, type RouteRule, rulesFor } from '../../lib/wire/route-rules.ts';

/** @throws DATA_LOSS naming what is wrong: the record is malformed, or contradicts itself. */
export function parseRoute(bytes: Uint8Array, where: string): RouteRecord {
  const route = decodeRoute(bytes, where);
  const names = route.legs.map(({ specialist }) => specialist);
  if (new Set(names).size !== names.length) throw broken(where, 'two legs have the same specialist name');
  const stray = route.legs.find(({ classIds }) => classIds.some((id) => id >= route.classNames.length));
  if (stray !== undefined) {
    throw broken(where, `specialist "${stray.specialist}" has a class beyond the route's ${route.classNames.length}`);
  }
  const obstacle = dustbinObstacle(route.legs);
  if (route.rule === 'dustbin' && obstacle !== undefined) {
    throw broken(where, `rule dustbin: ${describeObstacle(obstacle, route)}`);
  }
  return route;
}

/** The rules by which the route's legs can be combined. */
export function rulesOf({ legs }: RouteRecord): RouteRule[] {
  return rulesFor(dustbinObstacle(legs) === undefined);
}

function describeObstacle(obstacle: DustbinObstacle, { classNames, legs }: RouteRecord): string {
  return obstacle.kind === 'no-dustbin'
    ? `specialist "${legs[obstacle.leg]?.specialist}" has no dustbin`
    : `class "${classNames[obstacle.classId]}" is answered twice`;
}

function broken(where: string, what: string): StillhouseError {
  return new StillhouseError('DATA_LOSS', `${where}: ${what}`);
}
