/**
 * `stillhouse setup`, for the list of commands: the entry in `bin/` runs the set-up before this program can be loaded, since it
 * must work when not even the npm packages are there.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { scriptFile } from '../paths.ts';

export function addSetupCommand(program: Command, context: CliContext): void {
  program
    .command('setup')
    .description('Fetch and build what is missing: engine, data, servers; --check only looks. See `setup --help`.')
    // The script knows its options, and says so in its help.
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .argument('[options...]')
    .action((args: string[]) => runScript(args, context));
}

async function runScript(args: readonly string[], context: CliContext): Promise<void> {
  const child = spawn(process.execPath, [scriptFile('setup.mjs'), ...args], {
    env: context.environment as NodeJS.ProcessEnv,
    stdio: 'inherit',
    signal: context.signal,
    killSignal: 'SIGTERM',
  });
  const [code] = await once(child, 'close');
  if (code !== 0) context.setExitCode(code ?? 1);
}
