/**
 * Which revision of each route is served, and by whom: a pure function of what the registry and the heartbeats say. A
 * new revision is taken over once all its legs are within reach; until then the one before it goes on serving.
 */
import type { RouteRecord } from '../../lib/wire/records.ts';

export type RouteLegRecord = RouteRecord['legs'][number];

/** A specialist that is alive, as its heartbeat describes it. */
export interface Specialist {
  readonly id: string;
  /** `host:port` */
  readonly address: string;
  readonly modelDigests: readonly string[];
}

export interface RouteRevision {
  readonly record: RouteRecord;
  /** Grows with every write. */
  readonly revision: number;
}

export interface RouteState {
  /** The revision that was taken over last. */
  readonly serving: RouteRevision | undefined;
  /** Newer ones, oldest first, that wait for their specialists. */
  readonly pending: readonly RouteRevision[];
}

export interface RouteTable {
  readonly routes: ReadonlyMap<string, RouteState>;
  readonly specialists: readonly Specialist[];
}

export type RouteEvent =
  | { readonly kind: 'route-put'; readonly record: RouteRecord; readonly revision: number }
  | { readonly kind: 'route-deleted'; readonly name: string }
  /** All that are alive now. */
  | { readonly kind: 'specialists'; readonly specialists: readonly Specialist[] };

export const EMPTY_TABLE: RouteTable = { routes: new Map(), specialists: [] };

export function step(table: RouteTable, event: RouteEvent): RouteTable {
  return takeOver(applied(table, event));
}

function applied(table: RouteTable, event: RouteEvent): RouteTable {
  if (event.kind === 'specialists') return { ...table, specialists: event.specialists };
  const routes = new Map(table.routes);
  if (event.kind === 'route-deleted') {
    routes.delete(event.name);
    return { ...table, routes };
  }
  const { record, revision } = event;
  const state = routes.get(record.name) ?? { serving: undefined, pending: [] };
  const newest = state.pending.at(-1) ?? state.serving;
  // A watch that starts over repeats what it has sent.
  if (newest !== undefined && revision <= newest.revision) return table;
  routes.set(record.name, { ...state, pending: [...state.pending, { record, revision }] });
  return { ...table, routes };
}

function takeOver(table: RouteTable): RouteTable {
  const isReachable = ({ record }: RouteRevision) => unreachableLegs(record, table.specialists).length === 0;
  const routes = [...table.routes].map(([name, state]): [string, RouteState] => {
    const newest = state.pending.findLastIndex(isReachable);
    if (newest < 0) return [name, state];
    return [name, { serving: state.pending[newest], pending: state.pending.slice(newest + 1) }];
  });
  return { ...table, routes: new Map(routes) };
}

/** The legs that no specialist alive has the model of. */
export function unreachableLegs(record: RouteRecord, specialists: readonly Specialist[]): readonly RouteLegRecord[] {
  return record.legs.filter((leg) => replicasOf(leg, specialists).length === 0);
}

/** The specialists alive that have the leg's model. */
export function replicasOf(leg: RouteLegRecord, specialists: readonly Specialist[]): readonly Specialist[] {
  return specialists.filter((specialist) => specialist.modelDigests.includes(leg.modelDigest));
}

export type RouteFinding =
  | { readonly kind: 'ready'; readonly revision: RouteRevision }
  /** There is such a route; `missing` are the legs of the revision that it waits for. */
  | { readonly kind: 'not-ready'; readonly missing: readonly RouteLegRecord[] }
  | { readonly kind: 'unknown' };

/** The revision of a route that answers now. */
export function findRoute(table: RouteTable, name: string): RouteFinding {
  const state = table.routes.get(name);
  if (state === undefined) return { kind: 'unknown' };
  const revision = state.serving ?? state.pending.at(-1);
  const missing = revision === undefined ? [] : unreachableLegs(revision.record, table.specialists);
  if (state.serving === undefined || missing.length > 0) return { kind: 'not-ready', missing };
  return { kind: 'ready', revision: state.serving };
}

/** Name → revision taken over, of the routes that answer now: what the router tells the coordinator. */
export function readyRoutes(table: RouteTable): Record<string, number> {
  const found = [...table.routes.keys()].map((name) => [name, findRoute(table, name)] as const);
  return Object.fromEntries(
    found.flatMap(([name, finding]) => (finding.kind === 'ready' ? [[name, finding.revision.revision] as const] : [])),
  );
}
