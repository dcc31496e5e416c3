/** `stillhouse setup` and `npm run setup`: set-up by hand, or only a look at what there is. */
import { describeSetupError, exitCodeOf } from './errors.mjs';
import { partsFor } from './parts.mjs';
import { tilde } from './paths.mjs';
import { bytesAt, checkLines, lookAt } from './plan.mjs';
import { runSetup, setupContext } from './run-setup.mjs';
import { listenForStop } from './signals.mjs';

const USAGE = `Usage: stillhouse setup [options]

Fetches and builds what Stillhouse needs and git does not hold: npm packages, the engine (TensorFlow), nats-server, CIFAR-10,
pretrained weights. The other commands do it by themselves; what is there already is kept, and an interrupted set-up goes
on where it stopped.

Options:
  --check         only say what is there and what is missing, with sizes; downloads nothing, exit code 1 when
                  something is missing
  --json          with --check: print one JSON document
  --retry-engine  try again to have TensorFlow's library where plain TensorFlow.js was fallen back to
  --for-tests     also what only the tests need (npm test does this)
  -h, --help      display help for command

Examples:
  $ stillhouse setup
  $ stillhouse setup --check
  $ stillhouse setup --check --json | jq '.parts[] | select(.ready | not).title'
  $ STILLHOUSE_GPU=on stillhouse setup
  $ STILLHOUSE_ENGINE=native stillhouse setup --retry-engine

Settings: STILLHOUSE_CACHE, STILLHOUSE_DATA, STILLHOUSE_CIFAR10, STILLHOUSE_GPU, STILLHOUSE_ENGINE, NATS_URL; npm's and pip's
own settings say where packages come from.`;

const OPTIONS = new Set(['--check', '--json', '--retry-engine', '--for-tests', '--help', '-h']);
const EXIT_USAGE = 2;

/**
 * Runs it.
 *
 * @param {readonly string[]} args
 * @returns {Promise<number>} the exit code: 1 with one line on standard error, 2 for wrong arguments, 130 or 143 when stopped
 */
export async function runSetupCommand(args) {
  const wrong = args.find((arg) => !OPTIONS.has(arg));
  const has = (name) => args.includes(name);
  if (has('--help') || has('-h')) {
    console.log(USAGE);
    return 0;
  }
  if (wrong !== undefined || (has('--json') && !has('--check'))) {
    const problem = wrong === undefined ? '--json goes with --check' : `unknown option or argument '${wrong}'`;
    console.error(`set-up: ${problem} (add --help for help)`);
    return EXIT_USAGE;
  }
  const stop = listenForStop();
  const purpose = has('--for-tests') ? 'test' : 'start';
  try {
    if (has('--check')) return await check(purpose, { json: has('--json'), retryEngine: has('--retry-engine') });
    const { cache } = await runSetup({ for: purpose, retryEngine: has('--retry-engine'), signal: stop.signal });
    for (const line of await checkLines(await lookAt(partsFor(purpose), setupContext()))) console.error(line);
    console.error(`set-up is complete (${tilde(cache)})`);
    return 0;
  } catch (error) {
    console.error(`set-up: ${describeSetupError(error)}`);
    return exitCodeOf(error);
  } finally {
    stop.dispose();
  }
}

/** Says what there is. What is optional may be missing. */
async function check(purpose, { json, retryEngine }) {
  const rows = await lookAt(partsFor(purpose), { ...setupContext(), retryEngine });
  const isComplete = rows.every(({ ready, part }) => ready || part.isOptional);
  if (!json) for (const line of await checkLines(rows)) console.log(line);
  else {
    const parts = [];
    for (const { part: _, ...row } of rows) parts.push({ ...row, bytes: row.ready ? await bytesAt(row.path) : 0 });
    console.log(JSON.stringify({ ok: isComplete, parts }));
  }
  return isComplete ? 0 : 1;
}
