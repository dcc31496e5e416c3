/** `stillhouse up`: a local cluster until Ctrl-C. */
import type { Command } from 'commander';
import { monotonicMs, untilAborted } from '../../lib/base/clock.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { writeStateFile } from '../cluster/state-file.ts';
import type { CliContext } from '../context.ts';
import { addSizeOptions, type CustomCodeOption, customCodeOption, type SizeOptions } from '../options.ts';

const DEFAULT_STUDENTS = 2;
const DEFAULT_SPECIALISTS = 2;

interface UpOptions extends SizeOptions, CustomCodeOption {
  readonly json: boolean;
}

export function addUpCommand(program: Command, context: CliContext): void {
  const command = program.command('up').description('Start a local cluster and keep it until Ctrl-C.');
  addSizeOptions(command, { students: String(DEFAULT_STUDENTS), specialists: String(DEFAULT_SPECIALISTS) })
    .addOption(customCodeOption())
    .option('--json', 'print one line of JSON on standard output when all is ready', false)
    .addHelpText(
      'after',
      `
Examples:
  $ stillhouse up
  $ stillhouse up --students 4 --port-base 7000
  $ stillhouse up --json

Fixed ports, from the port base: nats +0, coordinator +1, router +2 (gRPC) and +3 (HTTP), teachers +10, students +20,
specialists +30; health ports 100 above, metrics 200 above.
Environment: STILLHOUSE_NATS_SERVER (binary to use), NATS_URL (server to use instead), STILLHOUSE_CACHE, STILLHOUSE_DATA,
STILLHOUSE_LOGITS (folder of stored logits).`,
    )
    .action((options: UpOptions) => up(options, context));
}

async function up(options: UpOptions, context: CliContext): Promise<void> {
  const startedMs = monotonicMs();
  const students = options.students ?? DEFAULT_STUDENTS;
  const specialists = options.specialists ?? DEFAULT_SPECIALISTS;
  context.note('starting a local cluster');
  const cluster = await LocalCluster.start({ ...options, students, specialists }, context);
  try {
    const { endpoints } = cluster;
    const removeStateFile = writeStateFile(context.environment, endpoints);
    try {
      context.note(`ready in ${((monotonicMs() - startedMs) / 1000).toFixed(1)} s; Ctrl-C ends it`);
      if (options.json) context.out(JSON.stringify({ ready: true, ...endpoints }));
      else {
        context.out(`coordinator  ${endpoints.coordinator}`);
        context.out(`router       ${endpoints.router.grpc} (gRPC), ${endpoints.router.http}`);
        context.out(`nats         ${endpoints.nats}`);
        for (const [name, url] of Object.entries(endpoints.metrics)) context.out(`${name.padEnd(11)}  ${url}`);
      }
      const end = AbortSignal.any([context.signal, cluster.failure]);
      await untilAborted(end);
      end.throwIfAborted();
    } finally {
      removeStateFile();
    }
  } finally {
    await cluster.stop();
  }
}
