/** Real processes that are told to end. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { sleep } from '../../../lib/base/clock.ts';

const MODULE = fileURLToPath(new URL('../../../lib/base/process.ts', import.meta.url));

async function run(t: ExecutionContext, body: string) {
  const script = `import { announceReady, runProcess } from '${MODULE}';
    await runProcess('test', async ({ signal }) => { const end = new Promise((resolve) =>
      signal.addEventListener('abort', resolve)); const alive = setInterval(() => {}, 1000); announceReady({}); ${body} }, { shutdownLimitMs: 60000 });`;
  const options = ['--import=tsx', '--input-type=module', '--eval', script];
  const child = spawn(process.execPath, options, { stdio: ['ignore', 'pipe', 'ignore'] });
  t.teardown(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  await once(createInterface({ input: child.stdout }), 'line');
  return { child, ended };
}

test('the first signal ends a process in order, however often it comes within a second', async (t) => {
  const { child, ended } = await run(t, 'await end; await new Promise((resolve) => setTimeout(resolve, 300));');
  child.kill('SIGINT');
  child.kill('SIGTERM');
  t.deepEqual(await ended, [0, null]);
});

test('a later signal ends it at once', async (t) => {
  const { child, ended } = await run(t, 'await new Promise(() => alive);');
  child.kill('SIGTERM');
  await sleep(1_500);
  t.is(child.exitCode, null);
  child.kill('SIGTERM');
  t.deepEqual(await ended, [1, null]);
});
