/** A route as it lies in the registry, checked before anything is routed by it. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { decodeRoute, type RouteRecord } from '../../lib/wire/records.ts';

/** @throws DATA_LOSS naming what is wrong: the record is malformed, or contradicts itself. */
export function parseRoute(bytes: Uint8Array, where: string): RouteRecord {
  const route = decodeRoute(bytes, where);
  const names = route.legs.map(({ specialist }) => specialist);
  if (new Set(names).size !== names.length) throw broken(where, 'two legs have the same specialist name');
  const stray = route.legs.find(({ classIds }) => classIds.some((id) => id >= route.classNames.length));
  if (stray !== undefined) {
    throw broken(where, `specialist "${stray.specialist}" has a class beyond the route's ${route.classNames.length}`);
  }
  return route;
}

function broken(where: string, what: string): StillhouseError {
  return new StillhouseError('DATA_LOSS', `${where}: ${what}`);
}
