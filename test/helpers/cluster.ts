/** A local cluster of real processes, started by `stillhouse up`, with clients of its APIs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
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
  /** Where each process answers Prometheus, by its name. */
  readonly metrics: Readonly<Record<string, string>>;
  submit(spec: string): Promise<string>;
  job(id: string): Promise<Job__Output>;
  /** Resolves to the job once it has ended. */
  ended(id: string): Promise<Job__Output>;
  /** Resolves once the phase has committed more than so many steps; throws when the job fails before. */
  reached(id: string, kind: string, subject: string, step: number): Promise<Phase__Output>;
  /** Resolves to the job once `condition` holds for the phase; throws when the job fails before. */
  when(id: string, kind: string, subject: string, condition: (phase: Phase__Output) => boolean): Promise<Phase__Output>;
  /** One more teacher-worker, on this machine; killed when the test ends. */
  startTeacher(id: string): ChildProcess;
}

const LIMITS = { timeoutMs: 10_000 };
const TEACHER_WORKER = fileURLToPath(new URL('../../services/teacher-worker/main.ts', import.meta.url));

export async function startCluster(t: ExecutionContext, ...args: string[]): Promise<TestCluster> {
  // What tests store is no user's.
  const environment = { TMPDIR: await tempFolder(t), STILLHOUSE_LOGITS: await tempFolder(t) };
  const cli = startCli(t, ['up', '--json', ...args], environment);
  const line = await new Promise<string>((resolve, reject) => {
    cli.process.stdout?.on('data', (text: string) => text.includes('\n') && resolve(text));
    void cli.ended.then(({ err }) => reject(new Error(`the cluster did not start: ${err}`)));
  });
  const ready = JSON.parse(line);
  t.deepEqual(Object.keys(ready), ['ready', 'coordinator', 'router', 'nats', 'metrics']);
  const coordinator = dial('Coordinator', ready.coordinator);
  const nats = await connect({ servers: ready.nats });
  t.teardown(async () => {
    coordinator.close();
    await nats.close();
  });
  const job = (id: string) => unary(coordinator, 'GetJob', { id }, LIMITS);
  const when: TestCluster['when'] = async (id, kind, subject, condition) => {
    let phase: Phase__Output | undefined;
    await until(async () => {
      const current = await job(id);
      if (current.state === 'JOB_STATE_FAILED') throw new Error(current.message);
      phase = phaseOf(current, kind, subject);
      return condition(phase);
    });
    return phase as Phase__Output;
  };
  return {
    cli,
    coordinator,
    router: ready.router,
    nats,
    metrics: ready.metrics,
    job,
    submit: async (spec) => (await unary(coordinator, 'SubmitJob', { spec }, LIMITS)).id,
    ended: async (id) => {
      await until(async () => !['JOB_STATE_QUEUED', 'JOB_STATE_RUNNING'].includes((await job(id)).state));
      return job(id);
    },
    reached: (id, kind, subject, step) => when(id, kind, subject, (phase) => phase.step > step),
    when,
    startTeacher: (id) => {
      const child = spawn(process.execPath, ['--import=tsx', TEACHER_WORKER], {
        stdio: ['pipe', 'ignore', 'ignore'],
        env: {
          ...process.env,
          ...environment,
          STILLHOUSE_WORKER_ID: id,
          STILLHOUSE_HOST: '127.0.0.1',
          STILLHOUSE_THREADS: '1',
          STILLHOUSE_COORDINATOR: ready.coordinator,
          STILLHOUSE_EXIT_WITH_PARENT: '1',
          STILLHOUSE_LOG_LEVEL: 'silent',
          NATS_URL: ready.nats,
        },
      });
      t.teardown(() => child.kill('SIGKILL'));
      return child;
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
