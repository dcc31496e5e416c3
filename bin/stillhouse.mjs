#!/usr/bin/env node
/** The `stillhouse` command. Set-up comes first and is silent when there is nothing to do. */
import { runCommandLine } from '../scripts/setup/command.mjs';
import { runSetupCommand } from '../scripts/setup/setup-command.mjs';

const args = process.argv.slice(2);
// Asking what there is, and preparing data, must not download hundreds of megabytes; both only take the npm packages.
const needsPackagesOnly =
  args.length === 0 ||
  ['help', 'doctor', 'architectures', 'dataset'].includes(args[0]) ||
  args.some((arg) => ['--help', '-h', '--version', '-V'].includes(arg));
// `setup` must work when not even the npm packages are there.
process.exitCode =
  args[0] === 'setup'
    ? await runSetupCommand(args.slice(1))
    : await runCommandLine(needsPackagesOnly ? 'packages' : 'cli', args);
