/** What steps are computed from, and how far ahead it is asked for. */
import test from 'ava';
import { createRandom } from '../../../lib/base/random.ts';
import { mixShares, NO_VIEWS, PartnerPools, partnersOf } from '../../../lib/data/views.ts';
import {
  type LogitsRequest,
  type StepInputs,
  StepInputsAhead,
  type StepInputsOptions,
} from '../../../lib/distill/step-inputs.ts';
import type { ViewedSamples } from '../../../lib/distill/trainable-model.ts';
import { droppedOfEpoch, epochSteps, type TrainingPlan, viewRule } from '../../../lib/distill/training-plan.ts';

const SEED = 51_977;
const CIFAR = { height: 32, width: 32, channels: 3 };

function planOf(samples: number, change: Partial<TrainingPlan> = {}): TrainingPlan {
  const plan: TrainingPlan = {
    ids: Uint32Array.from({ length: samples }, (_, index) => 3 * index),
    shards: [{ firstId: 0, records: 3 * samples }],
    labelOf: (id) => id % 7,
    ...{ seed: 5, lanes: 2, microBatch: 4, tail: 'weighted', steps: 0, views: NO_VIEWS },
    ...change,
  };
  return { ...plan, steps: change.steps ?? 2 * epochSteps(plan) };
}

/** The steps of a worker that has all lanes unless told otherwise, and what was asked for. */
function stepsOf(plan: TrainingPlan, change: Partial<StepInputsOptions> = {}) {
  const images: ViewedSamples[] = [];
  const logits: LogitsRequest[] = [];
  const inputs = new StepInputsAhead({
    plan,
    ...{ firstLane: 0, lanes: plan.lanes, image: CIFAR },
    images: (samples) => {
      images.push(samples);
      const empty = Promise.resolve(new Float32Array(0));
      return { read: empty, images: empty };
    },
    teacher: {
      logits: (request) => {
        logits.push(request);
        return Promise.resolve({ logits: new Float32Array(0), tails: null });
      },
    },
    ...change,
  });
  return { inputs, images, logits };
}

test('images are asked for when the engine has work, up to four steps ahead, and each once', (t) => {
  const plan = planOf(80);
  const { inputs, images, logits } = stepsOf(plan);
  const first = inputs.next();
  t.is(images.length, 0);
  t.is(logits.length, 5 * plan.lanes);
  const [lane] = first.lanes;
  t.is(lane?.images(), lane?.images());
  t.is(images.length, 1);
  inputs.loadAhead();
  inputs.loadAhead();
  t.is(images.length, 1 + 4 * plan.lanes);
  const second = inputs.next();
  for (const { images: load } of second.lanes) load();
  t.is(images.length, 1 + 4 * plan.lanes);
  inputs.loadAhead();
  t.is(images.length, 1 + 5 * plan.lanes);
});

for (const [microBatch, steps] of [
  [32, 3],
  [64, 1],
  [512, 1],
] as const) {
  test(`of large images only as many steps as 128 MiB hold are loaded ahead, one at least: ${microBatch}`, (t) => {
    const plan = planOf(8192, { microBatch, lanes: 2 });
    const { inputs, images } = stepsOf(plan, { image: { height: 224, width: 224, channels: 3 } });
    inputs.next();
    inputs.loadAhead();
    t.is(images.length, steps * plan.lanes);
  });
}

for (const tail of ['weighted', 'drop'] as const) {
  test(`each epoch has every sample once, whoever computes its lanes; ${tail} (seed ${SEED})`, (t) => {
    const random = createRandom(SEED);
    for (let round = 0; round < 40; round++) {
      const lanes = 1 + random.nextInt(5);
      const microBatch = 1 + random.nextInt(5);
      const plan = planOf(lanes * microBatch + random.nextInt(40), { lanes, microBatch, tail, seed: round });
      const cut = random.nextInt(lanes + 1);
      const workers = [
        { firstLane: 0, lanes: cut },
        { firstLane: cut, lanes: lanes - cut },
      ].filter((block) => block.lanes > 0);
      const each = workers.map((block) => stepsOf(plan, block).inputs);
      for (let epoch = 0; epoch < 2; epoch++) {
        const seen: number[] = [];
        for (let step = 0; step < epochSteps(plan); step++) {
          const inputs = each.map((worker) => worker.next());
          seen.push(...inputs.flatMap((one) => one.lanes.flatMap(({ ids }) => [...ids])));
        }
        if (tail === 'drop') seen.push(...droppedOfEpoch(plan, epoch));
        t.deepEqual(
          seen.sort((a, b) => a - b),
          [...plan.ids],
          JSON.stringify({ round, lanes, microBatch, epoch }),
        );
      }
    }
  });
}

test('a lane without samples in the tail asks nobody for anything', (t) => {
  // The third lane has one sample less.
  const plan = planOf(8, { lanes: 3, microBatch: 1, steps: 3 });
  const { inputs, images, logits } = stepsOf(plan);
  const steps = [inputs.next(), inputs.next(), inputs.next()];
  inputs.loadAhead();
  const empty = steps.flatMap(({ lanes }) => lanes).filter(({ ids }) => ids.length === 0);
  t.is(empty.length, 1);
  t.is(empty[0]?.logits, null);
  t.is(logits.length, 8);
  t.true([...images, ...logits].every(({ ids }) => ids.length > 0));
});

test('mixed samples come with partners, their labels and the shares, for images and teacher alike', (t) => {
  const views = { ...NO_VIEWS, mixup: 0.4, cutmix: 1, cycle: 2 };
  const plan = planOf(16, { views, steps: 6 });
  const { inputs, images, logits } = stepsOf(plan);
  for (let step = 0; step < 6; step++) {
    const epoch = Math.floor(step / 2);
    for (const lane of inputs.next().lanes) {
      const rule = viewRule(plan, epoch);
      t.is(rule.number, epoch % 2);
      const partners = partnersOf(lane.ids, new PartnerPools(plan), rule) as Uint32Array;
      lane.images();
      const request = logits.find((one) => one.step === step && one.lane === lane.lane);
      t.deepEqual(request?.partners, partners);
      t.deepEqual(images.at(-1), { ids: lane.ids, partners, epoch });
      t.deepEqual(lane.mixed, {
        labels: Int32Array.from(partners, plan.labelOf),
        shares: mixShares(lane.ids, rule, CIFAR),
      });
      t.deepEqual(lane.labels, Int32Array.from(lane.ids, plan.labelOf));
    }
  }
  const [plain] = stepsOf(planOf(16)).inputs.next().lanes;
  t.is(plain?.mixed, null);
});

test('a worker that mixes images reads the shards that it would read without', (t) => {
  const records = 300;
  const shards = Array.from({ length: 40 }, (_, shard) => ({ firstId: shard * records, records }));
  const ids = Uint32Array.from({ length: 40 * 150 }, (_, index) => 2 * index);
  const touched = (views: TrainingPlan['views']) => {
    const plan = planOf(0, { ids, shards, views, lanes: 8, microBatch: 16, steps: 40 });
    const { inputs, images } = stepsOf(plan, { firstLane: 0, lanes: 2 });
    for (let step = 0; step < plan.steps; step++) for (const lane of inputs.next().lanes) lane.images();
    const read = images.flatMap((samples) => [...samples.ids, ...(samples.partners ?? [])]);
    return [...new Set(read.map((id) => Math.floor(id / records)))].sort((a, b) => a - b);
  };
  const plain = touched(NO_VIEWS);
  t.is(plain.length, 16);
  t.deepEqual(touched({ ...NO_VIEWS, mixup: 0.2, cutmix: 1 }), plain);
});

test(`from any step on the inputs are those of a training that was not interrupted (seed ${SEED})`, async (t) => {
  const random = createRandom(SEED, 2);
  const facts = async (step: StepInputs, asked: { images: ViewedSamples[]; logits: LogitsRequest[] }) => {
    for (const lane of step.lanes) if (lane.ids.length > 0) await lane.images().images;
    const own = step.lanes.map(({ lane, ids, labels, mixed }) => ({ lane, ids, labels, mixed }));
    return { own, images: asked.images.splice(0) };
  };
  for (let round = 0; round < 40; round++) {
    const records = 1 + random.nextInt(12);
    const samples = 30 + random.nextInt(400);
    const plan = planOf(samples, {
      shards: Array.from({ length: Math.ceil((3 * samples) / records) }, (_, shard) => ({
        firstId: shard * records,
        records,
      })),
      ...{ lanes: 1 + random.nextInt(4), microBatch: 1 + random.nextInt(7), seed: round },
      tail: random.nextInt(2) === 0 ? 'drop' : 'weighted',
      views: random.nextInt(2) === 0 ? NO_VIEWS : { ...NO_VIEWS, mixup: 0.4, cycle: 1 + random.nextInt(3) },
    });
    const whole = stepsOf(plan);
    const expected = [];
    for (let step = 0; step < plan.steps; step++) expected.push(await facts(whole.inputs.next(), whole));
    const firstStep = random.nextInt(plan.steps);
    const resumed = stepsOf(plan, { firstStep });
    for (let step = firstStep; step < plan.steps; step++) {
      t.deepEqual(await facts(resumed.inputs.next(), resumed), expected[step] as never, `${round}: ${step}`);
    }
    t.deepEqual(
      resumed.logits,
      whole.logits.filter(({ step }) => step >= firstStep),
    );
  }
});

test('what a lane comes to 64 steps later is said early, across the border of an epoch, and nothing behind the end', (t) => {
  const plan = planOf(400, { steps: 120 });
  t.is(epochSteps(plan), 50);
  const prefetched: Uint32Array[] = [];
  const empty = Promise.resolve(new Float32Array(0));
  const images = Object.assign(() => ({ read: empty, images: empty }), {
    prefetch: (ids: Uint32Array) => prefetched.push(ids),
  });
  const { inputs } = stepsOf(plan, { images, firstLane: 1, lanes: 1 });
  const ids = Array.from({ length: plan.steps }, () => (inputs.next().lanes[0] as StepInputs['lanes'][number]).ids);
  t.deepEqual(prefetched, ids.slice(64));
});
