/** Several command lines one after another in one process: each line of standard input is a batch of them, as JSON. */
import { createInterface } from 'node:readline';
import { main } from '../../cli/main.ts';
import type { CliBatch } from './cli-batch.ts';

// The test's process has ended, maybe in the middle of a command.
process.stdin.once('end', () => process.exit());

// Every command leaves a listener there, since it expects to be the process's only one.
for (const stream of [process.stdout, process.stderr]) stream.setMaxListeners(0);

for await (const line of createInterface({ input: process.stdin })) {
  const { commands, environment } = JSON.parse(line) as CliBatch;
  for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
  Object.assign(process.env, environment);
  for (const args of commands) {
    const code = await main(args);
    process.stdout.write(`\0${code}\0`);
    process.stderr.write('\0');
  }
}
