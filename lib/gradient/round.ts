/**
 * One worker's side of the averaging rounds, as a pure state machine: events in, effects out, no I/O and no clock.
 *
 * A round of step s, seen by one worker:
 *
 *   computing ──localSums──▶ exchanging ──last part in──▶ committed ──▶ computing (s+1)
 *
 * - exchanging: the sums of the worker's maximal subtrees go to the owner of each part. An owner that has all nodes of its
 *   part finishes the tree, divides once by the total count and publishes the mean to everyone.
 * - committed: all parts of the mean are in and finite. Only now may the worker send step s+1, so peers are at most one step
 *   apart: sums of s+1 may arrive while this worker is still exchanging s, and are kept.
 * - Messages can be lost. A worker that is stuck asks for what it misses: owners ask members for sums, everyone asks owners
 *   for means. An owner keeps the mean of its part of the last committed step for that.
 */
import { invariant } from '../base/errors.ts';
import type { LaneSums } from '../distill/training-loop.ts';
import { chunkCount, chunkOf, type Part, partOf } from './parts.ts';
import { maximalSubtrees, nodeKey, reduceNode, type TreeNode } from './reduction-tree.ts';

export interface RoundMember {
  readonly id: string;
  readonly firstLane: number;
  readonly lanes: number;
}

export interface RoundConfig {
  /** In the order of their lanes; member i owns part i. */
  readonly members: readonly RoundMember[];
  /** Position of this worker in `members`. */
  readonly self: number;
  /** Length of the vector. */
  readonly vectorSize: number;
  /** Numbers per message. */
  readonly chunkSize: number;
}

/** A piece of a subtree's sums, or of a part's mean. */
export interface GradientChunk {
  readonly kind: 'sums' | 'mean';
  readonly step: number;
  readonly part: number;
  /** The subtree; for a mean, the root. */
  readonly node: TreeNode;
  readonly chunk: number;
  readonly chunks: number;
  /** Samples in the sums; for a mean, of the global batch. */
  readonly samples: number;
  readonly values: Float32Array;
}

/** A request to send again. */
export interface ResendRequest {
  readonly kind: 'resend-sums' | 'resend-mean';
  readonly step: number;
  readonly part: number;
  /** Who asks, as position in the members. */
  readonly from: number;
}

export type RoundEffect =
  /** To one member, by position. */
  | { readonly type: 'send'; readonly to: number; readonly chunk: GradientChunk }
  | { readonly type: 'publish'; readonly chunk: GradientChunk }
  | { readonly type: 'ask'; readonly to: number; readonly request: ResendRequest }
  | { readonly type: 'commit'; readonly step: number; readonly mean: Float32Array; readonly samples: number }
  /** The mean holds NaN or infinity: training cannot go on. */
  | { readonly type: 'diverged'; readonly step: number };

interface Assembly {
  readonly values: Float32Array;
  readonly missing: Set<number>;
  samples: number;
}

interface NodeSums {
  readonly node: TreeNode;
  readonly samples: number;
  readonly values: Float32Array;
}

export class Round {
  readonly #config: RoundConfig;
  readonly #root: TreeNode;
  readonly #ownNodes: readonly TreeNode[];
  /** Keys of the nodes that an owner needs, over all members. */
  readonly #allNodes: ReadonlySet<string>;
  #step = 0;
  #own: readonly NodeSums[] = [];
  /** By step, for the own part: chunks of nodes on their way in. */
  readonly #incoming = new Map<number, Map<string, Assembly>>();
  #mean = new Map<number, Assembly>();
  /** Own part's mean of the current and of the last committed step. */
  readonly #published = new Map<number, { samples: number; values: Float32Array }>();

  constructor(config: RoundConfig) {
    this.#config = config;
    const lanes = config.members.reduce((sum, member) => sum + member.lanes, 0);
    this.#root = { firstLane: 0, lanes };
    const nodes = config.members.map((member) => maximalSubtrees(lanes, member));
    this.#ownNodes = nodes[config.self] as TreeNode[];
    this.#allNodes = new Set(nodes.flat().map(nodeKey));
  }

  /** The step that is being computed or exchanged. */
  get step(): number {
    return this.#step;
  }

  /** All own lanes' sums of the current step are there. */
  localSums(lanes: readonly LaneSums[]): RoundEffect[] {
    invariant(this.#own.length === 0, 'local sums come once a step');
    const byLane = new Map(lanes.map((sums) => [sums.lane, sums]));
    this.#own = this.#ownNodes.map((node) => ({
      node,
      samples: samplesBelow(node, byLane),
      values: reduceNode(node, (at) => (at.lanes === 1 ? byLane.get(at.firstLane)?.values : undefined)),
    }));
    const effects = this.#config.members.flatMap((_, to) => (to === this.#config.self ? [] : this.#sumsFor(to)));
    return [...effects, ...this.#finishOwnPart()];
  }

  /** A chunk from another worker; what is not expected is dropped: a repetition, or of another time. */
  chunk(chunk: GradientChunk): RoundEffect[] {
    return chunk.kind === 'sums' ? this.#takeSums(chunk) : this.#takeMean(chunk);
  }

  /** Another worker misses something of ours. */
  resend(request: ResendRequest): RoundEffect[] {
    if (request.kind === 'resend-sums') {
      const isCurrent = request.step === this.#step && this.#own.length > 0;
      return isCurrent && request.part === request.from ? this.#sumsFor(request.from) : [];
    }
    const held = this.#published.get(request.step);
    if (held === undefined || request.part !== this.#config.self) return [];
    return this.#meanChunks(request.step, held).map((chunk) => ({ type: 'send', to: request.from, chunk }) as const);
  }

  /** Nothing has moved for a while: asks for everything that is missing in the current step. */
  stalled(): RoundEffect[] {
    if (this.#own.length === 0) return [];
    const { members, self } = this.#config;
    const asks: RoundEffect[] = [];
    const incoming = this.#incoming.get(this.#step);
    for (const [to, member] of members.entries()) {
      if (to === self) continue;
      const isComplete = (node: TreeNode) => incoming?.get(nodeKey(node))?.missing.size === 0;
      const nodes = maximalSubtrees(this.#root.lanes, member);
      if (!this.#published.has(this.#step) && !nodes.every(isComplete)) {
        asks.push({ type: 'ask', to, request: { kind: 'resend-sums', step: this.#step, part: self, from: self } });
      }
      if (this.#mean.get(to)?.missing.size !== 0) {
        asks.push({ type: 'ask', to, request: { kind: 'resend-mean', step: this.#step, part: to, from: self } });
      }
    }
    return asks;
  }

  #part(owner: number): Part {
    return partOf(this.#config.vectorSize, this.#config.members.length, owner);
  }

  #sumsFor(owner: number): RoundEffect[] {
    const part = this.#part(owner);
    return this.#own.flatMap(({ node, samples, values }) =>
      this.#chunks('sums', this.#step, owner, node, samples, values.subarray(part.start, part.end)).map(
        (chunk) => ({ type: 'send', to: owner, chunk }) as const,
      ),
    );
  }

  #chunks(
    kind: GradientChunk['kind'],
    step: number,
    owner: number,
    node: TreeNode,
    samples: number,
    values: Float32Array,
  ): GradientChunk[] {
    const part = this.#part(owner);
    const chunks = chunkCount(part, this.#config.chunkSize);
    return Array.from({ length: chunks }, (_, chunk) => {
      const { start, end } = chunkOf(part, this.#config.chunkSize, chunk);
      return { kind, step, part: owner, node, chunk, chunks, samples, values: values.subarray(start, end) };
    });
  }

  #meanChunks(step: number, { samples, values }: { samples: number; values: Float32Array }): GradientChunk[] {
    return this.#chunks('mean', step, this.#config.self, this.#root, samples, values);
  }

  #takeSums(chunk: GradientChunk): RoundEffect[] {
    const isExpected = chunk.part === this.#config.self && (chunk.step === this.#step || chunk.step === this.#step + 1);
    const key = nodeKey(chunk.node);
    if (!isExpected || !this.#allNodes.has(key) || this.#published.has(chunk.step)) return [];
    let assemblies = this.#incoming.get(chunk.step);
    if (assemblies === undefined) {
      assemblies = new Map();
      this.#incoming.set(chunk.step, assemblies);
    }
    const assembly = assemblies.get(key) ?? this.#assembly(chunk.part);
    assemblies.set(key, assembly);
    this.#place(chunk, assembly);
    return chunk.step === this.#step ? this.#finishOwnPart() : [];
  }

  #takeMean(chunk: GradientChunk): RoundEffect[] {
    const isExpected = chunk.step === this.#step && chunk.part !== this.#config.self && this.#own.length > 0;
    if (!isExpected || this.#config.members[chunk.part] === undefined) return [];
    const assembly = this.#mean.get(chunk.part) ?? this.#assembly(chunk.part);
    this.#mean.set(chunk.part, assembly);
    this.#place(chunk, assembly);
    return this.#commitIfComplete();
  }

  #assembly(owner: number): Assembly {
    const part = this.#part(owner);
    const chunks = chunkCount(part, this.#config.chunkSize);
    return {
      values: new Float32Array(part.end - part.start),
      missing: new Set(Array.from({ length: chunks }, (_, index) => index)),
      samples: 0,
    };
  }

  #place(chunk: GradientChunk, assembly: Assembly): void {
    const { start, end } = chunkOf(this.#part(chunk.part), this.#config.chunkSize, chunk.chunk);
    if (!assembly.missing.has(chunk.chunk) || chunk.values.length !== end - start) return;
    assembly.values.set(chunk.values, start);
    assembly.samples = chunk.samples;
    assembly.missing.delete(chunk.chunk);
  }

  /** Finishes the tree over the own part once every node of it is there. */
  #finishOwnPart(): RoundEffect[] {
    if (this.#own.length === 0 || this.#published.has(this.#step)) return [];
    const part = this.#part(this.#config.self);
    const sums = new Map<string, Float32Array>();
    let samples = 0;
    for (const { node, values, samples: count } of this.#own) {
      sums.set(nodeKey(node), values.subarray(part.start, part.end));
      samples += count;
    }
    for (const [key, assembly] of this.#incoming.get(this.#step) ?? []) {
      if (assembly.missing.size > 0) return [];
      sums.set(key, assembly.values);
      samples += assembly.samples;
    }
    if (sums.size < this.#allNodes.size) return [];
    const total = reduceNode(this.#root, (node) => sums.get(nodeKey(node)));
    const values = total.map((value) => value / samples);
    this.#published.set(this.#step, { samples, values });
    this.#mean.set(this.#config.self, { values, missing: new Set(), samples });
    this.#incoming.delete(this.#step);
    const chunks = this.#meanChunks(this.#step, { samples, values });
    const publish = this.#config.members.length > 1 ? chunks.map((chunk) => ({ type: 'publish', chunk }) as const) : [];
    return [...publish, ...this.#commitIfComplete()];
  }

  #commitIfComplete(): RoundEffect[] {
    const { members, vectorSize } = this.#config;
    const parts = members.map((_, owner) => this.#mean.get(owner));
    if (!parts.every((part) => part !== undefined && part.missing.size === 0)) return [];
    const mean = new Float32Array(vectorSize);
    for (const [owner, part] of parts.entries()) mean.set((part as Assembly).values, this.#part(owner).start);
    const step = this.#step;
    if (!mean.every(Number.isFinite)) return [{ type: 'diverged', step }];
    const samples = (parts[0] as Assembly).samples;
    this.#step += 1;
    this.#own = [];
    this.#mean = new Map();
    this.#published.delete(step - 1);
    return [{ type: 'commit', step, mean, samples }];
  }
}

function samplesBelow(node: TreeNode, byLane: ReadonlyMap<number, LaneSums>): number {
  let samples = 0;
  for (let lane = node.firstLane; lane < node.firstLane + node.lanes; lane++) samples += byLane.get(lane)?.samples ?? 0;
  return samples;
}
