/**
 * Set-up: everything that Stillhouse needs and git does not hold. The commands call it themselves; when nothing is to be
 * done it says nothing and takes a moment. By hand: `npm run setup` or `stillhouse setup`.
 */
import { runSetupCommand } from './setup/setup-command.mjs';

process.exitCode = await runSetupCommand(process.argv.slice(2));
