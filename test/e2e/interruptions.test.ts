/** What happens to a cluster of real processes when jobs are cancelled, workers are killed and users press Ctrl-C. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { unary } from '../../lib/wire/grpc.ts';
import { startCli, until } from '../helpers/cli.ts';
import { startCluster } from '../helpers/cluster.ts';
import { realDataRoot } from '../helpers/data-root.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

/** One student, its control arm off; `epochs` decide how long it takes. */
const jobFile = (name: string, epochs: number, init = '') => `
apiVersion: stillhouse/v1
kind: Job
name: ${name}
data: { dataset: cifar10, train: 1024, test: 64 }
teachers: [{ name: big, arch: resnet-8, train: { microBatch: 64, epochs: 1 } }]
students: [{ name: first-five, arch: simple-cnn, classes: [airplane, automobile, bird, cat, deer]${init} }]
train: { lanes: 3, microBatch: 16, epochs: ${epochs} }
evaluate: { control: false, routeImages: 32 }
`;

const LIMITS = { timeoutMs: 10_000 };

test('a cancelled job leaves room for the next, which another starts from; a killed student fails its job by name; Ctrl-C ends everything', async (t) => {
  t.timeout(240_000);
  const cluster = await startCluster(t);
  const { cli, coordinator } = cluster;

  const long = await cluster.submit(jobFile('long', 1000));
  const next = await cluster.submit(jobFile('next', 1));
  await cluster.reached(long, 'PHASE_KIND_DISTIL', 'first-five', 3);
  t.is((await cluster.job(next)).state, 'JOB_STATE_QUEUED');
  await unary(coordinator, 'CancelJob', { id: long }, LIMITS);
  t.is((await cluster.ended(long)).state, 'JOB_STATE_CANCELLED');
  const second = await cluster.ended(next);
  t.is(second.state, 'JOB_STATE_SUCCEEDED', second.message);

  const unknown = cluster.submit(jobFile('warm', 1, ', init: nobody/nothing'));
  await t.throwsAsync(unknown, { message: /students\[0\]\.init: there is no published model "nobody\/nothing"/ });
  const misfit = cluster.submit(jobFile('warm', 1, ', init: next/first-five').replace('simple-cnn', 'resnet-8'));
  await t.throwsAsync(misfit, {
    message: /students\[0\]\.init: model next\/first-five is a simple-cnn, and is to start a resnet-8/,
  });

  const doomed = await cluster.submit(jobFile('doomed', 1000, ', init: next/first-five'));
  const phase = await cluster.reached(doomed, 'PHASE_KIND_DISTIL', 'first-five', 3);
  const cold = second.phases.find(({ kind }) => kind === 'PHASE_KIND_DISTIL');
  t.true(
    phase.firstLoss < (cold?.firstLoss ?? 0),
    `${phase.firstLoss} from trained weights, ${cold?.firstLoss} from none`,
  );
  const victim = phase.workers[1];
  process.kill(victim?.pid as number, 'SIGKILL');
  const failed = await cluster.ended(doomed);
  t.is(failed.state, 'JOB_STATE_FAILED');
  t.regex(failed.message, new RegExp(victim?.workerId as string));
  const survivor = phase.workers[0]?.workerId;
  await until(async () => {
    const { members } = await unary(coordinator, 'GetCluster', {}, LIMITS);
    return members.find(({ id }) => id === survivor)?.activity === 'idle';
  });

  cli.process.kill('SIGINT');
  const { code } = await cli.ended;
  t.is(code, 130);
  t.deepEqual(await cli.processes(), []);
});

for (const [signal, expected] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(`${signal} in the middle of a run ends it, says so and leaves nothing`, async (t) => {
    t.timeout(120_000);
    const folder = await tempFolder(t);
    const example = path.resolve('examples/cifar10-specialists.yaml');
    await mkdir(path.join(folder, 'tmp'));
    const cli = startCli(t, ['run', example, '--quick', '--out', path.join(folder, 'out')], {
      TMPDIR: path.join(folder, 'tmp'),
      STILLHOUSE_DATA: realDataRoot(),
    });
    let out = '';
    cli.process.stdout?.on('data', (text: string) => (out += text));
    await until(() => /train teacher big: .*step/.test(out) || cli.process.exitCode !== null);
    cli.process.kill(signal);
    const { code, err } = await cli.ended;
    t.is(code, expected, err);
    t.regex(err, /stopped/);
    t.deepEqual(await cli.processes(), []);
  });
}
