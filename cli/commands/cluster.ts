/** `stillhouse cluster`: who is there. */
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import type { Cluster } from '../coordinator-client.ts';
import { type JsonOption, print, withCoordinator } from '../coordinator-command.ts';
import { coordinatorOption } from '../options.ts';
import { table } from '../text.ts';

export function addClusterCommand(program: Command, context: CliContext): void {
  program
    .command('cluster')
    .description('Show who is in a running cluster, and what everyone does.')
    .option('--json', 'print one JSON document', false)
    .addOption(coordinatorOption())
    .addHelpText('after', '\nExamples:\n  $ stillhouse cluster\n  $ stillhouse cluster --json')
    .action((options: JsonOption) =>
      withCoordinator(options, context, async (client) => {
        const cluster = await client.cluster();
        print(context, options.json, cluster, () => clusterLines(cluster));
      }),
    );
}

function clusterLines({ members, leaderEpoch }: Cluster): string[] {
  const rows = members.map(({ id, role, address, activity, heartbeatAgeMs, pid, modelDigests }) => {
    const heard = `${(heartbeatAgeMs / 1000).toFixed(1)} s ago`;
    return [id, role, address === '' ? '-' : address, String(pid), heard, String(modelDigests.length), activity];
  });
  return [
    ...table([['ID', 'ROLE', 'ADDRESS', 'PID', 'HEARD', 'MODELS', 'ACTIVITY'], ...rows]),
    `the coordinator leads with epoch ${leaderEpoch}`,
  ];
}
