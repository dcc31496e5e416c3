/**
 * `npm test [-- files and ava options]`: sets everything up, then types, lint and tests. The last line is
 * `N passed, N failed`: ava's tests, and one for each of the two checks.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterSetup } from './setup/command.mjs';
import { ROOT } from './setup/paths.mjs';
import { run } from './setup/process.mjs';
import { TapReader } from './setup/tap.mjs';

const CHECKS = [
  { title: 'types', package: 'typescript', bin: 'tsc', args: ['--noEmit'] },
  { title: 'lint', package: '@biomejs/biome', bin: 'biome', args: ['check', '.'] },
];

// The tests start servers of their own, so set-up has to bring one; someone else's is not for them.
delete process.env.NATS_URL;

process.exitCode = await afterSetup('test', async ({ signal }) => {
  const total = { passed: 0, failed: 0 };
  for (const check of CHECKS) total[(await runCheck(check, signal)) ? 'passed' : 'failed'] += 1;
  const tests = await runTests(process.argv.slice(2), signal);
  if (tests.failures.length > 0) console.log(`\nwhat failed:\n${tests.failures.join('\n')}`);
  if (tests.skipped > 0) console.log(`\n${tests.skipped} skipped or still to do`);
  total.passed += tests.passed;
  total.failed += tests.failed;
  console.log(`\n${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 ? 0 : 1;
});

async function runCheck(check, signal) {
  const { code } = await run(process.execPath, [binOf(check.package, check.bin), ...check.args], {
    cwd: ROOT,
    signal,
    inherit: true,
  });
  console.log(code === 0 ? `  ✔ ${check.title}` : `  ✘ ${check.title}`);
  return code === 0;
}

/** Runs ava. Whatever goes wrong besides a test (it dies, finds no test, breaks off) counts as one failure. */
async function runTests(args, signal) {
  const reader = new TapReader((line) => console.log(line), { colours: process.stdout.isTTY === true });
  const { code, signalName } = await run(process.execPath, [binOf('ava', 'ava'), '--tap', ...args], {
    cwd: ROOT,
    signal,
    onLine: (line) => reader.read(line),
    inheritError: true,
  });
  const { result } = reader;
  if (code === 0 && result.finished && result.passed + result.skipped > 0) return result;
  if (result.failed === 0) {
    result.failed = 1;
    result.failures.push(`  ✘ ava ended with ${signalName ?? `exit code ${code}`} and no result`);
  }
  return result;
}

/** A package's program, which node can run without the links in node_modules/.bin. */
function binOf(name, bin) {
  const folder = join(ROOT, 'node_modules', name);
  const { bin: bins } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return join(folder, typeof bins === 'string' ? bins : bins[bin]);
}
