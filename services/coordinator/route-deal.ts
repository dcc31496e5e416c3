/** Which specialist serves which legs of the routes. Pure, and the same for the same input on every coordinator. */
import { hashName, mixSeeds } from '../../lib/base/random.ts';
import type { RouteRecord } from '../../lib/wire/records.ts';

export interface DealtModel {
  /** The model's name in inference requests: `<route>.<specialist>`. */
  readonly name: string;
  readonly modelDigest: string;
}

/**
 * Deals every leg to one specialist, none taking more than its even share; specialists that are left over then repeat the
 * legs that are served least. Each leg goes to its highest hash (rendezvous hashing) among those with room, so that few
 * legs move when a specialist joins or leaves. Every specialist has an entry, sorted by name.
 */
export function dealLegs(
  routes: readonly RouteRecord[],
  specialistIds: readonly string[],
): ReadonlyMap<string, readonly DealtModel[]> {
  const legs = routes
    .flatMap((route) =>
      route.legs.map(({ specialist, modelDigest }) => ({ name: `${route.name}.${specialist}`, modelDigest })),
    )
    .sort(byName);
  const dealt = new Map<string, DealtModel[]>([...specialistIds].sort().map((id) => [id, []]));
  if (dealt.size === 0 || legs.length === 0) return dealt;
  const room = Math.ceil(legs.length / dealt.size);
  for (const leg of legs) {
    const free = [...dealt.keys()].filter((id) => (dealt.get(id)?.length ?? 0) < room);
    dealt.get(highestScore(leg.name, free))?.push(leg);
  }
  // With enough room for all, a specialist may still have got nothing: it becomes a second home of some leg.
  const homes = new Map(legs.map((leg) => [leg, 1]));
  for (const models of dealt.values()) {
    if (models.length > 0) continue;
    const least = legs.reduce((best, leg) => ((homes.get(leg) ?? 0) < (homes.get(best) ?? 0) ? leg : best));
    homes.set(least, (homes.get(least) ?? 0) + 1);
    models.push(least);
  }
  for (const models of dealt.values()) models.sort(byName);
  return dealt;
}

function byName(one: DealtModel, other: DealtModel): number {
  return one.name < other.name ? -1 : one.name > other.name ? 1 : 0;
}

function highestScore(leg: string, ids: readonly string[]): string {
  const score = (id: string) => mixSeeds(hashName(leg), hashName(id));
  return ids.reduce((best, id) => (score(id) > score(best) ? id : best));
}
