/** Set-up's own processes: none outlives it, however it ends, and it ends when nobody is there any more. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ScratchCheckout } from '../helpers/scratch-checkout.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

const SETUP = new URL('../../scripts/setup/', import.meta.url).href;

/** Its output until it and everyone that holds its output has ended. */
async function outputOf(child: ChildProcess): Promise<{ code: number | null; output: string }> {
  let output = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, output };
}

test('a crash takes the running programs along', async (t) => {
  const script = `
    import { run } from '${SETUP}process.mjs';
    run('sh', ['-c', 'sleep 300 & echo started; wait'], { onLine: () => { throw new Error('a crash'); } });`;
  // The sleeper holds our pipe as its standard error: 'close' says that it is gone.
  const inherited = script.replace('{ onLine', '{ inheritError: true, onLine');
  const child = spawn(process.execPath, ['--input-type=module', '-e', inherited], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stderr.resume();
  t.is((await outputOf(child)).code, 1);
});

test('set-up stops when nobody reads its output any more', async (t) => {
  const checkout = await ScratchCheckout.make(t, ['node', 'npm', 'sh']);
  checkout.describePackages({ dependencies: { some: '1.0.0' } }, {});
  const setup = checkout.start();
  setup.child.stderr?.destroy();
  t.is((await setup.finished).code, 141);
});

test('a parent that ended while set-up was loading is noticed at once', async (t) => {
  const script = `
    import { listenForStop } from '${SETUP}signals.mjs';
    const parent = process.ppid;
    console.log('loaded');
    const timer = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(timer);
      const { signal, dispose } = listenForStop();
      console.log(signal.aborted ? 'stopped' : 'goes on');
      dispose();
    }, 10);`;
  const file = join(await tempFolder(t), 'child.mjs');
  writeFileSync(file, script);
  const parent = spawn('sh', ['-c', '"$0" "$1" & read line', process.execPath, file], {
    env: { ...process.env, npm_lifecycle_event: 'start' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  parent.stdout.once('data', () => parent.stdin.end('\n'));
  t.is((await outputOf(parent)).output, 'loaded\nstopped\n');
});

test('continuous integration counts a failed installation of its needs', async (t) => {
  const tools = join(await tempFolder(t), 'tools');
  mkdirSync(tools);
  for (const name of ['apt-get', 'sudo']) {
    writeFileSync(join(tools, name), '#!/bin/sh\nexit 100\n');
    chmodSync(join(tools, name), 0o755);
  }
  for (const name of ['bash', 'dirname', 'readlink', 'id']) {
    const target = execFileSync('sh', ['-c', 'command -v "$0"', name], { encoding: 'utf8' }).trim();
    execFileSync('ln', ['-s', target, join(tools, name)]);
  }
  const script = new URL('../../.ci/run', import.meta.url).pathname;
  const child = spawn(join(tools, 'bash'), [script], { env: { PATH: tools }, stdio: ['ignore', 'pipe', 'ignore'] });
  const { code, output } = await outputOf(child);
  t.is(code, 1);
  t.regex(output, /(^|\n)0 passed, 1 failed\n$/);
});
