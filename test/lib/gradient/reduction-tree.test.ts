import test from 'ava';
import {
  leftLanes,
  maximalSubtrees,
  nodeKey,
  reduceNode,
  type TreeNode,
} from '../../../lib/gradient/reduction-tree.ts';
import { between, forCases } from '../../helpers/property.ts';

test('a node splits at the largest power of two below its size', (t) => {
  const expected = [1, 2, 2, 4, 4, 4, 4, 8, 8];
  t.deepEqual([2, 3, 4, 5, 6, 7, 8, 9, 16].map(leftLanes), expected);
});

test('maximal subtrees cover a block exactly, are nodes of the tree, and are few', async (t) => {
  await forCases(t, 300, (random) => {
    const lanes = between(random, 1, 64);
    const firstLane = between(random, 0, lanes - 1);
    const block = { firstLane, lanes: between(random, 1, lanes - firstLane) };
    const nodes = maximalSubtrees(lanes, block);
    const covered = nodes.flatMap((node) => Array.from({ length: node.lanes }, (_, index) => node.firstLane + index));
    t.deepEqual(
      covered,
      Array.from({ length: block.lanes }, (_, index) => firstLane + index),
    );
    const known = new Set(allNodes({ firstLane: 0, lanes }).map(nodeKey));
    for (const node of nodes) t.true(known.has(nodeKey(node)));
    if (lanes > 1) t.true(nodes.length <= Math.max(1, 2 * Math.ceil(Math.log2(lanes)) - 2) || block.lanes === lanes);
  });
});

test('the sum over the tree does not depend on which nodes are at hand, to the last bit', async (t) => {
  await forCases(t, 100, (random) => {
    const lanes = between(random, 1, 20);
    const values = Array.from({ length: lanes }, () => Float32Array.of(random.nextNormal(), 1e6 * random.nextNormal()));
    const root = { firstLane: 0, lanes };
    const leaf = (node: TreeNode) => (node.lanes === 1 ? values[node.firstLane] : undefined);
    const expected = reduceNode(root, leaf);
    const cut = between(random, 1, lanes);
    const blocks = [
      { firstLane: 0, lanes: cut },
      { firstLane: cut, lanes: lanes - cut },
    ].filter((block) => block.lanes > 0);
    const held = new Map(
      blocks.flatMap((block) => maximalSubtrees(lanes, block)).map((node) => [nodeKey(node), reduceNode(node, leaf)]),
    );
    t.deepEqual(
      reduceNode(root, (node) => held.get(nodeKey(node))),
      expected,
    );
  });
});

function allNodes(node: TreeNode): TreeNode[] {
  if (node.lanes === 1) return [node];
  const left = leftLanes(node.lanes);
  return [
    node,
    ...allNodes({ firstLane: node.firstLane, lanes: left }),
    ...allNodes({ firstLane: node.firstLane + left, lanes: node.lanes - left }),
  ];
}
