/** Which of several specialists with the same model is asked. */

/**
 * One with the fewest requests outstanding; among equals they take turns.
 *
 * @param outstanding requests under way, by address; absent means none
 * @param turn any number that grows with every choice
 * @param excluded addresses that must not be asked again
 */
export function chooseReplica<T extends { readonly address: string }>(
  replicas: readonly T[],
  outstanding: ReadonlyMap<string, number>,
  turn: number,
  excluded: ReadonlySet<string> = new Set(),
): T | undefined {
  const candidates = replicas.filter(({ address }) => !excluded.has(address));
  const load = ({ address }: T) => outstanding.get(address) ?? 0;
  const least = Math.min(...candidates.map(load));
  const idlest = candidates.filter((candidate) => load(candidate) === least);
  return idlest[turn % idlest.length];
}
