/** How a route combines the answers of its specialists: what can be asked for. The rules themselves are the router's. */

export const ROUTE_RULES = ['max-softmax', 'max-logit', 'dustbin'] as const;

/**
 * `max-softmax`: the specialist whose softmax over its own classes is the most certain. `max-logit`: the one with the largest
 * logit. `dustbin`: by what each specialist leaves to the others (Hinton, Vinyals and Dean 2015, section 5.4).
 */
export type RouteRule = (typeof ROUTE_RULES)[number];

/** The rules that legs allow, in the order above. @param haveDustbins whether all of them have a dustbin */
export function rulesFor(haveDustbins: boolean): RouteRule[] {
  return ROUTE_RULES.filter((rule) => rule !== 'dustbin' || haveDustbins);
}

/** Of a leg, or of the student that will be one, what the rule `dustbin` looks at. */
export interface DustbinLeg {
  readonly classIds: Iterable<number>;
  readonly dustbin: boolean;
}

/** Why `dustbin` cannot join legs, which are named by their indices. */
export type DustbinObstacle =
  | { readonly kind: 'no-dustbin'; readonly leg: number }
  | { readonly kind: 'common-class'; readonly classId: number; readonly legs: readonly [number, number] };

/** What keeps `dustbin` from joining these legs: every leg has to say what it leaves, and a class may count only once. */
export function dustbinObstacle(legs: readonly DustbinLeg[]): DustbinObstacle | undefined {
  const without = legs.findIndex(({ dustbin }) => !dustbin);
  if (without !== -1) return { kind: 'no-dustbin', leg: without };
  const owners = new Map<number, number>();
  for (const [leg, { classIds }] of legs.entries()) {
    for (const classId of classIds) {
      const other = owners.get(classId);
      if (other !== undefined) return { kind: 'common-class', classId, legs: [other, leg] };
      owners.set(classId, leg);
    }
  }
  return undefined;
}
