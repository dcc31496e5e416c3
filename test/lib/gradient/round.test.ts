import test from 'ava';
import type { Random } from '../../../lib/base/random.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { dealLanes } from '../../../lib/data/lanes.ts';
import type { LaneSums } from '../../../lib/distill/training-loop.ts';
import { localAverager } from '../../../lib/gradient/local-averager.ts';
import { type GradientChunk, type ResendRequest, Round, type RoundEffect } from '../../../lib/gradient/round.ts';
import { between, forCases } from '../../helpers/property.ts';

const VECTOR = 37;
const STEPS = 4;

type Message =
  | { readonly type: 'chunk'; readonly to: number; readonly chunk: GradientChunk }
  | { readonly type: 'resend'; readonly to: number; readonly request: ResendRequest };

/** The sums of a lane are a function of (step, lane), as in a job. */
function sumsOf(step: number, lane: number): LaneSums {
  const random = createRandom(step, lane);
  const samples = (step + lane) % 4;
  const values = Float32Array.from({ length: VECTOR }, () => (samples === 0 ? 0 : random.nextNormal()));
  return { lane, samples: samples + 1, values };
}

/** A network that reorders, loses and repeats messages at the given rate, between workers that run all steps. */
class Simulation {
  readonly commits: Float32Array[][];
  readonly #rounds: Round[];
  readonly #blocks: { firstLane: number; lanes: number }[];
  readonly #network: Message[] = [];
  readonly #random: Random;
  readonly #faultRate: number;

  constructor(lanes: number, workers: number, faultRate: number, random: Random) {
    this.#blocks = dealLanes(lanes, workers);
    const members = this.#blocks.map((block, index) => ({ id: `worker-${index}`, ...block }));
    this.#rounds = members.map((_, self) => new Round({ members, self, vectorSize: VECTOR, chunkSize: 5 }));
    this.commits = members.map(() => []);
    this.#random = random;
    this.#faultRate = faultRate;
  }

  run(): void {
    const waiting = this.#rounds.map((_, worker) => worker);
    for (let turn = 0; turn < 1_000_000 && this.commits.some(({ length }) => length < STEPS); turn++) {
      const choices = waiting.length + this.#network.length;
      if (choices === 0) {
        for (const [worker, round] of this.#rounds.entries()) this.#perform(worker, round.stalled(), waiting);
        continue;
      }
      const choice = this.#random.nextInt(choices);
      if (choice < waiting.length) this.#compute(waiting.splice(choice, 1)[0] as number, waiting);
      else this.#deliver(this.#network.splice(choice - waiting.length, 1)[0] as Message, waiting);
    }
  }

  #compute(worker: number, waiting: number[]): void {
    const { firstLane, lanes } = this.#blocks[worker] as { firstLane: number; lanes: number };
    const round = this.#rounds[worker] as Round;
    const sums = Array.from({ length: lanes }, (_, index) => sumsOf(round.step, firstLane + index));
    this.#perform(worker, round.localSums(sums), waiting);
  }

  #deliver(message: Message, waiting: number[]): void {
    if (this.#random.nextFloat() < this.#faultRate) return;
    if (this.#random.nextFloat() < this.#faultRate) this.#network.push(message);
    const round = this.#rounds[message.to] as Round;
    const effects = message.type === 'chunk' ? round.chunk(message.chunk) : round.resend(message.request);
    this.#perform(message.to, effects, waiting);
  }

  #perform(worker: number, effects: readonly RoundEffect[], waiting: number[]): void {
    for (const effect of effects) {
      if (effect.type === 'commit') {
        this.commits[worker]?.push(effect.mean);
        if (effect.step + 1 < STEPS) waiting.push(worker);
      } else if (effect.type === 'publish') {
        const others = this.#rounds.map((_, to) => to).filter((to) => to !== worker);
        this.#network.push(...others.map((to) => ({ type: 'chunk', to, chunk: effect.chunk }) as const));
      } else if (effect.type === 'send') this.#network.push({ type: 'chunk', to: effect.to, chunk: effect.chunk });
      else if (effect.type === 'ask') this.#network.push({ type: 'resend', to: effect.to, request: effect.request });
    }
  }
}

for (const faultRate of [0, 0.3]) {
  test(`any number of workers commits the same bits as one, with ${faultRate * 100} % of messages lost and repeated`, async (t) => {
    await forCases(t, 60, (random) => {
      const lanes = between(random, 1, 13);
      const alone = new Simulation(lanes, 1, 0, random);
      alone.run();
      const many = new Simulation(lanes, between(random, 1, lanes), faultRate, random);
      many.run();
      for (const commits of many.commits) t.deepEqual(commits, alone.commits[0] as Float32Array[]);
    });
  });
}

test('the mean is the sum over the samples divided by their number', async (t) => {
  const lanes = 3;
  const sums = Array.from({ length: lanes }, (_, lane) => sumsOf(0, lane));
  const mean = await localAverager(lanes, VECTOR).average(0, sums);
  const samples = sums.reduce((total, lane) => total + lane.samples, 0);
  for (let index = 0; index < VECTOR; index++) {
    const expected = sums.reduce((total, { values }) => total + (values[index] as number), 0) / samples;
    t.true(Math.abs((mean[index] as number) - expected) < 1e-6);
  }
});

test('a mean that is not finite ends the training with a hint', async (t) => {
  const values = new Float32Array(VECTOR).fill(Number.NaN);
  const error = await t.throwsAsync(localAverager(1, VECTOR).average(0, [{ lane: 0, samples: 1, values }]));
  t.regex(error?.message ?? '', /diverged at step 0/);
});
