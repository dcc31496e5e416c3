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
