/** A local cluster of real processes, started by `stillhouse up`, with clients of its APIs. */
import { readFile } from 'node:fs/promises';
import type { ExecutionContext } from 'ava';
import { connect, type NatsConnection } from 'nats';
import type { Job__Output } from '../../lib/wire/generated/stillhouse/v1/Job.ts';
import type { Phase__Output } from '../../lib/wire/generated/stillhouse/v1/Phase.ts';
import { dial, type RpcClient, unary } from '../../lib/wire/grpc.ts';
import { type RunningCli, startCli, until } from './cli.ts';
import { tempFolder } from './temp-folder.ts';

export interface TestCluster {
  readonly cli: RunningCli;
  readonly coordinator: RpcClient<'Coordinator'>;
  readonly router: { readonly grpc: string; readonly http: string };
  readonly nats: NatsConnection;
  submit(spec: string): Promise<string>;
  job(id: string): Promise<Job__Output>;
  /** Resolves to the job once it has ended. */
  ended(id: string): Promise<Job__Output>;
  /** Resolves once the phase has committed more than so many steps; throws when the job fails before. */
  reached(id: string, kind: string, subject: string, step: number): Promise<Phase__Output>;
}

const LIMITS = { timeoutMs: 10_000 };

export async function startCluster(t: ExecutionContext, ...args: string[]): Promise<TestCluster> {
  const cli = startCli(t, ['up', '--json', ...args], { TMPDIR: await tempFolder(t) });
  const line = await new Promise<string>((resolve, reject) => {
    cli.process.stdout?.on('data', (text: string) => text.includes('\n') && resolve(text));
    void cli.ended.then(({ err }) => reject(new Error(`the cluster did not start: ${err}`)));
  });
  const ready = JSON.parse(line);
  t.deepEqual(Object.keys(ready), ['ready', 'coordinator', 'router', 'nats']);
  const coordinator = dial('Coordinator', ready.coordinator);
  const nats = await connect({ servers: ready.nats });
  t.teardown(async () => {
    coordinator.close();
    await nats.close();
  });
  const job = (id: string) => unary(coordinator, 'GetJob', { id }, LIMITS);
  return {
    cli,
    coordinator,
    router: ready.router,
    nats,
    job,
    submit: async (spec) => (await unary(coordinator, 'SubmitJob', { spec }, LIMITS)).id,
    ended: async (id) => {
      await until(async () => !['JOB_STATE_QUEUED', 'JOB_STATE_RUNNING'].includes((await job(id)).state));
      return job(id);
    },
    reached: async (id, kind, subject, step) => {
      let phase: Phase__Output | undefined;
      await until(async () => {
        const current = await job(id);
        if (current.state === 'JOB_STATE_FAILED') throw new Error(current.message);
        phase = phaseOf(current, kind, subject);
        return phase.step > step;
      });
      return phase as Phase__Output;
    },
  };
}

export function phaseOf(job: Job__Output, kind: string, subject: string): Phase__Output {
  const found = job.phases.find((phase) => phase.kind === kind && phase.subject === subject);
  if (found === undefined) throw new Error(`job ${job.id} has no phase ${kind} of ${subject}`);
  return found;
}

/** The process id of the cluster's nats-server. */
export async function natsServerOf(cli: RunningCli): Promise<number> {
  const found: number[] = [];
  for (const pid of await cli.pids()) {
    if ((await readFile(`/proc/${pid}/comm`, 'utf8')).startsWith('nats-server')) found.push(pid);
  }
  if (found.length !== 1) throw new Error(`${found.length} nats-servers belong to the cluster`);
  return found[0] as number;
}
