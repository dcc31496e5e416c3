import test from 'ava';
import type { Random } from '../../../lib/base/random.ts';
import {
  type AdviceSample,
  type AdviceState,
  advise,
  NO_ADVICE,
} from '../../../services/coordinator/teacher-advice.ts';
import { forCases } from '../../helpers/property.ts';

/** What is so for a while: students ask for `demand` teacher-workers' work when they do not wait. */
interface Load {
  readonly teachers: number;
  readonly demand: number;
  /** Share of its time that each student waits whatever the teachers do: a slow network. */
  readonly latency?: number;
  readonly students?: number;
}

/** Students and teachers as a fluid: students ask as much as teachers can answer, and wait the rest of their time. */
class Cluster {
  state: AdviceState = NO_ADVICE;
  shown: string[] = [];
  #sample: AdviceSample = { nowMs: 1_000, teachers: 0, waitMs: [], computeMs: 0, batchesAnswered: 0, samples: 0 };

  /** Reports come every 200 ms, a little off. */
  run({ teachers, demand, latency = 0, students = 2 }: Load, seconds: number, random?: Random): this {
    for (let tick = 0; tick < seconds * 5; tick++) {
      const noise = random === undefined ? 1 : 0.98 + 0.04 * random.nextFloat();
      const works = Math.min(1 - latency, demand === 0 ? 1 : teachers / demand);
      const { waitMs, computeMs, batchesAnswered, samples, nowMs } = this.#sample;
      this.#sample = {
        nowMs: nowMs + 200,
        teachers,
        waitMs: Array.from({ length: students }, (_, at) => (waitMs[at] ?? 0) + 200 * (1 - works) * noise),
        computeMs: computeMs + 200 * demand * works * noise,
        batchesAnswered: batchesAnswered + 10 * works,
        samples: samples + 16 * works,
      };
      const before = this.state.shown;
      this.state = advise(this.state, this.#sample);
      if (this.state.shown !== before) this.shown.push(`${this.state.shown?.finding} ${this.state.shown?.wanted}`);
    }
    return this;
  }

  get wanted(): number | undefined {
    return this.state.shown?.wanted;
  }

  get advice(): string | undefined {
    return this.state.shown?.advice;
  }
}

test('too few teachers: as many as are missing, and nothing once they are there', (t) => {
  const cluster = new Cluster().run({ teachers: 1, demand: 3 }, 3);
  t.is(cluster.wanted, undefined, 'one look is not enough');
  cluster.run({ teachers: 1, demand: 3 }, 5);
  t.is(cluster.wanted, 3);
  t.is(
    cluster.advice,
    'students wait for logits for 67 % of their time and the teachers are 100 % busy: add 2 teacher-workers',
  );
  cluster.run({ teachers: 3, demand: 3 }, 10);
  t.is(cluster.wanted, 3);
  t.is(cluster.advice, '');
});

test('teachers that idle while students wait are not the reason', (t) => {
  const cluster = new Cluster().run({ teachers: 2, demand: 1, latency: 0.4 }, 10);
  t.is(cluster.wanted, 2);
  t.regex(
    cluster.advice ?? '',
    /^students wait for logits for 40 % of their time, but the teachers are only 30 % busy: more/,
  );
});

test('more teachers than students keep busy', (t) => {
  const cluster = new Cluster().run({ teachers: 5, demand: 1.5 }, 10);
  t.is(cluster.wanted, 2);
  t.is(cluster.advice, 'students do not wait and the teachers are 30 % busy: 2 of 5 teacher-workers would do');
  cluster.run({ teachers: 2, demand: 1.5 }, 10);
  t.is(cluster.advice, '');
});

test('without any teacher it says so at once, and forgets it when one comes', (t) => {
  const cluster = new Cluster().run({ teachers: 1, demand: 3 }, 10).run({ teachers: 0, demand: 3 }, 1);
  t.is(cluster.advice, 'no teacher-worker answers the students: start 3');
  t.is(cluster.wanted, 3);
  cluster.run({ teachers: 1, demand: 0.5 }, 1);
  t.is(cluster.advice, undefined);
});

test('students that stand still tell nothing until they go on', (t) => {
  const sample = { nowMs: 0, teachers: 1, waitMs: [0], computeMs: 0, batchesAnswered: 1, samples: 16 };
  const begun = advise(NO_ADVICE, sample);
  t.is(advise(begun, { ...sample, nowMs: 60_000 }), begun);
});

test('a cold start, and the first answers after it, tell nothing', (t) => {
  const trail = (more: (seconds: number) => Partial<AdviceSample>) => {
    let state = NO_ADVICE;
    for (let ms = 0; ms <= 12_000; ms += 200) {
      const busy = {
        nowMs: ms,
        teachers: 2,
        waitMs: [0.95 * ms],
        computeMs: 2 * ms,
        batchesAnswered: ms / 100,
        samples: ms,
      };
      state = advise(state, { ...busy, ...more(ms / 1000) });
    }
    return state.shown?.finding;
  };
  t.is(
    trail(() => ({})),
    'slow',
  );
  t.is(
    trail((seconds) => (seconds < 5 ? {} : { waitMs: [4_750], computeMs: 10_000 })),
    'many',
    'they compile for two windows, and nobody waits any more',
  );
  t.is(
    trail((seconds) => ({ batchesAnswered: Math.floor(seconds / 4) })),
    undefined,
    'a batch now and then',
  );
  t.is(
    trail(() => ({ computeMs: 0 })),
    undefined,
    'nobody knows what an answer takes',
  );
});

test('what is asked for is enough and hardly more, whatever the load', async (t) => {
  await forCases(t, 300, (random, seed) => {
    const teachers = 1 + random.nextInt(15);
    const demand = 0.1 + random.nextFloat() * 20;
    const students = 1 + random.nextInt(8);
    const { wanted = 0, shown } = new Cluster().run({ teachers, demand, students }, 20, random);
    const where = `seed ${seed}: ${teachers} teachers, demand ${demand.toFixed(2)}, wanted ${wanted} (${shown.join(', ')})`;
    // A tenth of a student's time is worth no teacher.
    const isSlow = teachers / demand < 0.9;
    if (isSlow) t.true(wanted > teachers, where);
    if (isSlow && demand < 8 * teachers)
      t.true(wanted >= Math.floor(demand * 0.93) && wanted <= Math.ceil(demand * 1.07) + 1, where);
    if (!isSlow) t.true(wanted <= teachers && wanted >= Math.min(teachers, demand * 0.9), where);
  });
});

test('a steady load never has it change its mind, and following it leads to rest', async (t) => {
  await forCases(t, 100, (random, seed) => {
    const demand = 0.3 + random.nextFloat() * 10;
    let teachers = 1 + random.nextInt(10);
    const cluster = new Cluster();
    const trail = [teachers];
    for (let round = 0; round < 8; round++) {
      cluster.run({ teachers, demand }, 12, random);
      teachers = cluster.wanted ?? teachers;
      trail.push(teachers);
    }
    const where = `seed ${seed}: demand ${demand.toFixed(2)}: ${trail.join(' → ')}`;
    t.is(new Set(trail.slice(-4)).size, 1, where);
    t.true(teachers >= demand * 0.9 - 0.2, where);
    cluster.shown.length = 0;
    cluster.run({ teachers, demand }, 60, random);
    t.true(cluster.shown.length <= 1, `${where}; then ${cluster.shown.join(', ')}`);
  });
});
