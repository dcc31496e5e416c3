/** `npm start [-- options]`: sets everything up, then runs the main job on a local cluster. */
import { join } from 'node:path';
import { runCommandLine } from './setup/command.mjs';
import { ROOT } from './setup/paths.mjs';

const job = join(ROOT, 'examples', 'quickstart.yaml');
process.exitCode = await runCommandLine('start', ['run', job, ...process.argv.slice(2)]);
