/** The ways to an engine in their order: each that fails is named, and plain TensorFlow.js is the last. */
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readEngineOrigin } from '../../cli/doctor/engine-origin.ts';
import { ScratchCheckout } from '../helpers/scratch-checkout.ts';

const LOUD = /ENGINE: PLAIN TENSORFLOW\.JS 4\.22\.0, which is ORDERS OF MAGNITUDE SLOWER/;

/** Set-up ends at what comes after the engine: a data set that is not there. */
const NO_FURTHER = { NATS_URL: 'nats://127.0.0.1:9', STILLHOUSE_CIFAR10: '/does/not/exist' };
const END = /set-up: CIFAR-10 can't be converted/;

/** One with plain TensorFlow.js among its npm packages. */
async function checkoutWithPlain(t: ExecutionContext, programs: readonly string[]): Promise<ScratchCheckout> {
  const checkout = await ScratchCheckout.make(t, programs);
  checkout.write('node_modules/@tensorflow/tfjs/package.json', JSON.stringify({ version: '4.22.0' }));
  return checkout;
}

test('without a compiler and an installer: both are named with their reasons, then plain TensorFlow.js, loudly', async (t) => {
  const checkout = await checkoutWithPlain(t, ['node']);
  const { output } = await checkout.run(NO_FURTHER);
  t.regex(output, /engine: not by TensorFlow's wheel: g\+\+ is missing/);
  t.regex(output, /engine: not by the installer of tfjs-node-gpu: it is not among the npm packages/);
  t.regex(output, LOUD);
  t.regex(output, /To have the fast one: install it \(Debian, Ubuntu: `sudo apt-get install g\+\+`\)/);
  t.regex(output, END);
  const { source, attempts } = readEngineOrigin(checkout.root);
  t.is(source, null);
  t.deepEqual(
    attempts.map(({ problem }) => problem),
    ['g++ is missing', 'it is not among the npm packages'],
  );
});

test('it stays with plain TensorFlow.js until something changes or another try is asked for', async (t) => {
  const checkout = await checkoutWithPlain(t, ['node']);
  t.regex((await checkout.run(NO_FURTHER)).output, LOUD);
  t.notRegex((await checkout.run(NO_FURTHER)).output, /engine: not by|ENGINE/, 'nothing has changed');
  t.regex((await checkout.run(NO_FURTHER, ['--retry-engine'])).output, /engine: not by TensorFlow's wheel: g\+\+ is/);
  checkout.addProgram('g++', '/bin/true');
  t.regex((await checkout.run(NO_FURTHER)).output, /engine: not by TensorFlow's wheel: python3 is missing/);
});

test('STILLHOUSE_ENGINE: native refuses the fallback, plain wants nothing else, another word is refused', async (t) => {
  const checkout = await checkoutWithPlain(t, ['node']);
  t.regex((await checkout.run(NO_FURTHER)).output, LOUD);
  const native = await checkout.run({ ...NO_FURTHER, STILLHOUSE_ENGINE: 'native' });
  t.is(native.code, 1);
  t.regex(native.output, /set-up: no native engine, and STILLHOUSE_ENGINE is native: .*g\+\+ is missing;.*apt-get/);
  t.notRegex(native.output, LOUD);
  const plain = await checkout.run({ ...NO_FURTHER, STILLHOUSE_ENGINE: 'plain' });
  t.notRegex(plain.output, /engine: not by/);
  t.regex(plain.output, END);
  const other = await checkout.run({ STILLHOUSE_ENGINE: 'fast' });
  t.is(other.code, 1);
  t.regex(other.output, /STILLHOUSE_ENGINE is "fast", expected one of auto, native, plain/);
});

test('where plain TensorFlow.js is missing too there is no engine, for all the reasons', async (t) => {
  const checkout = await ScratchCheckout.make(t, ['node']);
  const { code, output } = await checkout.run(NO_FURTHER);
  t.is(code, 1);
  t.regex(
    output,
    /set-up: no engine: TensorFlow's wheel: g\+\+ is missing; the installer of tfjs-node-gpu: .*: install/,
  );
});

test('a binding that is built but does not load, and an installer that fails, leave nothing', async (t) => {
  const checkout = await checkoutWithPlain(t, ['node', 'sh']);
  await pretendTensorflow(checkout);
  const compiler = join(checkout.home, 'compiler');
  writeFileSync(compiler, '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho not a library > "$2"\n');
  chmodSync(compiler, 0o755);
  checkout.write('node_modules/@tensorflow/tfjs-node-gpu/scripts/install.js', "throw new Error('the vendor is away')");
  const { output } = await checkout.run({ ...NO_FURTHER, CXX: compiler });
  t.regex(output, /engine: not by TensorFlow's wheel: the engine \(TensorFlow through tfjs-node-gpu\) can't load: /);
  t.regex(output, /engine: not by the installer of tfjs-node-gpu: it failed \(the vendor is away\)/);
  t.regex(output, LOUD);
  t.false(existsSync(join(checkout.root, 'node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v8/tfjs_binding.node')));
  t.is(readEngineOrigin(checkout.root).source, null);
});

/** The cache as after the download: set-up goes by stamps and sizes. */
async function pretendTensorflow(checkout: ScratchCheckout): Promise<void> {
  type Tensorflow = {
    tensorflowWheelHere(): { wheel: { sha256: string } };
    tensorflowFolder(cache: string, wheel: object): string;
  };
  const url = new URL('../../scripts/setup/tensorflow.mjs', import.meta.url);
  const { tensorflowWheelHere, tensorflowFolder } = (await import(url.href)) as Tensorflow;
  const wheel = { ...tensorflowWheelHere().wheel, gpu: false };
  const folder = tensorflowFolder(checkout.cache, wheel);
  mkdirSync(join(folder, 'include', 'tensorflow', 'c'), { recursive: true });
  writeFileSync(join(folder, 'include', 'tensorflow', 'c', 'c_api.h'), '');
  writeFileSync(join(folder, 'stamp.json'), JSON.stringify({ wheel: wheel.sha256, files: {} }));
}

test('--check says what there is and what is missing, with sizes, and touches nothing', async (t) => {
  const checkout = await checkoutWithPlain(t, ['node']);
  const lines = await checkout.run({}, ['--check']);
  t.is(lines.code, 1);
  t.regex(lines.output, /^there {4}npm packages +\d+ kB {2}\S+node_modules$/m);
  t.regex(lines.output, /^MISSING {2}CIFAR-10 +139 MB to fetch, 184 MB on disk {2}\S+cifar10$/m);
  const json = await checkout.run({}, ['--check', '--json']);
  t.is(json.code, 1);
  const answer = JSON.parse(json.output) as { ok: boolean; parts: { title: string; ready: boolean }[] };
  t.false(answer.ok);
  t.deepEqual(
    answer.parts.map(({ ready }) => ready),
    [true, false, false, false, false],
  );
  t.false(existsSync(checkout.cache));
});

test('the plain engine is there by --check once it was fallen back to, and its reasons are told', async (t) => {
  const checkout = await checkoutWithPlain(t, ['node']);
  await checkout.run(NO_FURTHER);
  const { output } = await checkout.run({}, ['--check']);
  t.regex(output, /^there {4}engine .*; plain TensorFlow\.js 4\.22\.0, slow: TensorFlow's wheel: g\+\+ is missing;/m);
  t.regex((await checkout.run({}, ['--check', '--retry-engine'])).output, /^MISSING {2}engine/m);
});

test('its help needs nothing installed; wrong options are refused', async (t) => {
  const checkout = await ScratchCheckout.make(t, ['node']);
  rmSync(join(checkout.root, 'node_modules'), { recursive: true });
  const help = await checkout.run({}, ['--help']);
  t.is(help.code, 0);
  t.regex(help.output, /Usage: stillhouse setup[\s\S]*--check[\s\S]*Examples:/);
  for (const args of [['--chekc'], ['--json']]) {
    const refused = await checkout.run({}, args);
    t.is(refused.code, 2);
    t.regex(refused.output, /^set-up: .*--help for help/);
  }
  t.deepEqual(JSON.parse(readFileSync(join(checkout.root, 'package.json'), 'utf8')).name, 'scratch');
});

test('before it begins the sizes are listed, with what is here of them, and too small a disk is refused', async (t) => {
  type Row = {
    title: string;
    ready: boolean;
    path: string;
    fetchBytes: number;
    heldBytes: number;
    keptBytes: number;
  };
  const url = new URL('../../scripts/setup/plan.mjs', import.meta.url);
  const { planLines, requireRoom } = (await import(url.href)) as {
    planLines(rows: readonly Row[], freeBytes: number): string[];
    requireRoom(rows: readonly Row[], cache: string): Promise<void>;
  };
  const row = { ready: false, path: '/tmp/none', fetchBytes: 75e6, heldBytes: 199e6, keptBytes: 1.13e9 };
  const rows = [
    { ...row, title: 'engine' },
    { ...row, title: 'CIFAR-10', fetchBytes: 139e6, heldBytes: 0, keptBytes: 184e6 },
  ];
  t.deepEqual(planLines(rows, 67e9), [
    '           to fetch    on disk',
    'engine        75 MB    1.13 GB  (199 MB are here already)',
    'CIFAR-10     139 MB     184 MB',
    'in all       214 MB    1.31 GB  of 67.00 GB free',
  ]);
  await t.notThrowsAsync(requireRoom(rows, '/tmp'));
  const huge = [...rows, { ...row, title: 'the moon', keptBytes: 1e18 }];
  await t.throwsAsync(requireRoom(huge, '/tmp'), {
    message: /not enough disk space for engine, CIFAR-10, the moon, .*: \S+ has .* free, 1000000001\.86 GB needed/,
  });
});
