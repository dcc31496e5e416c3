/**
 * The fixed tree in which the lanes' vectors are added: a node over n lanes splits at the largest power of two below n. The
 * grouping of the sums, and with it every rounding, is the same whoever computes which lanes.
 */
import { invariant } from '../base/errors.ts';

/** A node of the tree, by the lanes below it: `firstLane` .. `firstLane + lanes - 1`. */
export interface TreeNode {
  readonly firstLane: number;
  readonly lanes: number;
}

/** Lanes of the left child of a node over `lanes` > 1. */
export function leftLanes(lanes: number): number {
  let power = 1;
  while (power * 2 < lanes) power *= 2;
  return power;
}

/** The largest nodes of the tree over `totalLanes` that lie within a block of lanes, left to right. */
export function maximalSubtrees(totalLanes: number, block: TreeNode): TreeNode[] {
  const end = block.firstLane + block.lanes;
  const visit = (firstLane: number, lanes: number): TreeNode[] => {
    if (firstLane >= end || firstLane + lanes <= block.firstLane) return [];
    if (firstLane >= block.firstLane && firstLane + lanes <= end) return [{ firstLane, lanes }];
    const left = leftLanes(lanes);
    return [...visit(firstLane, left), ...visit(firstLane + left, lanes - left)];
  };
  return visit(0, totalLanes);
}

/**
 * Adds up one node of the tree from whatever nodes below it (or itself) are at hand.
 * @param at the vector of a node, or undefined when only nodes below it are at hand
 */
export function reduceNode(node: TreeNode, at: (node: TreeNode) => Float32Array | undefined): Float32Array {
  const held = at(node);
  if (held !== undefined) return held;
  invariant(node.lanes > 1, `the vector of lane ${node.firstLane} is at hand`);
  const left = leftLanes(node.lanes);
  const leftSum = reduceNode({ firstLane: node.firstLane, lanes: left }, at);
  const rightSum = reduceNode({ firstLane: node.firstLane + left, lanes: node.lanes - left }, at);
  const sum = new Float32Array(leftSum.length);
  for (let index = 0; index < sum.length; index++)
    sum[index] = (leftSum[index] as number) + (rightSum[index] as number);
  return sum;
}

/** A node's name in maps. */
export function nodeKey({ firstLane, lanes }: TreeNode): string {
  return `${firstLane}+${lanes}`;
}
