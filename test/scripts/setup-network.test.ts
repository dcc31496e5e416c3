/** A network that fails while the engine is fetched: set-up stops and goes on next time, it does not settle for less. */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { createRandom } from '../../lib/base/random.ts';
import { type Cut, type CuttingServer, serveCut } from '../helpers/cutting-server.ts';
import { zipOf } from '../helpers/pickle-writer.ts';
import { ScratchCheckout } from '../helpers/scratch-checkout.ts';

const SEED = 13;
const BYTES = 2_000_000;
const HALF = 1_000_000;

const PLAIN = /ENGINE: PLAIN TENSORFLOW\.JS/;
const STAMP = 'node_modules/.stillhouse-engine.json';

const [PROJECT, MACHINE] = process.arch === 'x64' ? ['tensorflow_cpu', 'x86_64'] : ['tensorflow', 'aarch64'];
const INDEX_PAGE = `/simple/${PROJECT.replace('_', '-')}/`;
const WHEEL_FILE = `${PROJECT}-2.21.0-cp311-cp311-manylinux_2_27_${MACHINE}.whl`;

/** As TensorFlow's is laid out; its library does not compress. */
function smallWheel(): Buffer {
  const random = createRandom(SEED);
  const info = `${PROJECT}-2.21.0.dist-info`;
  const metadata = `Metadata-Version: 2.1\nName: ${PROJECT.replace('_', '-')}\nVersion: 2.21.0\n`;
  const tag = `cp311-cp311-manylinux_2_27_${MACHINE}`;
  return zipOf([
    {
      name: 'tensorflow/libtensorflow_cc.so.2',
      content: Buffer.from(Uint8Array.from({ length: BYTES }, () => random.nextInt(256))),
    },
    { name: 'tensorflow/libtensorflow_framework.so.2', content: Buffer.from('small') },
    { name: 'tensorflow/include/tensorflow/c/c_api.h', content: Buffer.from('') },
    { name: `${info}/METADATA`, content: Buffer.from(metadata) },
    {
      name: `${info}/WHEEL`,
      content: Buffer.from(`Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: ${tag}\n`),
    },
    { name: `${info}/RECORD`, content: Buffer.alloc(0) },
  ]);
}

interface Scene {
  readonly checkout: ScratchCheckout;
  readonly wheel: Buffer;
  readonly server: CuttingServer;
  readonly part: string;
  /** For set-up; it ends at what comes after the engine. */
  readonly env: Record<string, string>;
}

/** Has the pins name another content for TensorFlow's wheel on this machine. */
function pinWheel(file: string, sha256: string): void {
  const text = readFileSync(file, 'utf8');
  const wheels = text.indexOf('export const TENSORFLOW_WHEELS = {');
  const hash = text.indexOf("sha256: '", text.indexOf(`'linux-${process.arch}'`, wheels)) + "sha256: '".length;
  writeFileSync(file, `${text.slice(0, hash)}${sha256}${text.slice(hash + sha256.length)}`);
}

/** A checkout that pins the small wheel and has plain TensorFlow.js and the vendor's installer to fall back to. */
async function scene(t: ExecutionContext, cuts: readonly Cut[], { isIndexed = true } = {}): Promise<Scene> {
  const wheel = smallWheel();
  const sha256 = createHash('sha256').update(wheel).digest('hex');
  const page = `<!DOCTYPE html><a href="/files/${WHEEL_FILE}#sha256=${sha256}">${WHEEL_FILE}</a>`;
  const server = await serveCut(
    t,
    (): Record<string, string | Buffer> => (isIndexed ? { [INDEX_PAGE]: page, [`/files/${WHEEL_FILE}`]: wheel } : {}),
    cuts,
  );
  const checkout = await ScratchCheckout.make(t, ['node', 'python3', 'sh']);
  checkout.write('node_modules/@tensorflow/tfjs/package.json', JSON.stringify({ version: '4.22.0' }));
  checkout.write('node_modules/@tensorflow/tfjs-node-gpu/scripts/install.js', "throw new Error('the vendor is away')");
  pinWheel(join(checkout.root, 'scripts', 'setup', 'pins.mjs'), sha256);
  // What it makes can't be loaded: the way of the wheel ends there, after the download.
  const compiler = join(checkout.home, 'compiler');
  writeFileSync(compiler, '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho not a library > "$2"\n');
  chmodSync(compiler, 0o755);
  const env = {
    ...{ CXX: compiler, NATS_URL: 'nats://127.0.0.1:9', STILLHOUSE_CIFAR10: '/does/not/exist' },
    ...{ PIP_INDEX_URL: `${server.url}/simple/`, PIP_CONFIG_FILE: '/dev/null', PIP_RETRIES: '0', PIP_TIMEOUT: '2' },
  };
  return { checkout, wheel, server, part: join(checkout.cache, 'downloads', `${sha256}.part`), env };
}

/** Set-up ends with its error, tries no other way and notes nothing. */
async function stops(t: ExecutionContext, { checkout, env }: Scene, problem: RegExp): Promise<void> {
  const { code, output } = await checkout.run(env);
  t.is(code, 1, output);
  t.regex(output, problem);
  t.regex(output, /^set-up: .*start again, it goes on where it was$/m);
  t.notRegex(output, PLAIN);
  t.notRegex(output, /the vendor is away/);
  t.false(existsSync(join(checkout.root, STAMP)), output);
}

for (const end of ['cut', 'silence'] as const) {
  test(`the wheel's connection ends in ${end}: set-up fails without settling, the next run fetches the rest (seed ${SEED})`, async (t) => {
    const it = await scene(t, [{ afterBytes: HALF, end }]);
    await stops(t, it, /^set-up: pip could not download tensorflow/m);
    const held = statSync(it.part).size;
    t.true(held > 0 && held <= HALF, `${held} bytes are kept`);
    const { output } = await it.checkout.run(it.env);
    t.deepEqual(
      it.server.requests.map(({ from }) => from),
      [0, held],
    );
    t.is(it.server.requests[1]?.bytes, it.wheel.length - held);
    t.regex(output, /TensorFlow 2\.21\.0: .* fetched, .* of libraries kept/);
    // Whatever was wrong after the download is no matter of the network: then the other ways have their turn.
    t.regex(output, /engine: not by TensorFlow's wheel: the engine .* can't load/);
    t.regex(output, PLAIN);
  });
}

for (const [what, env] of [
  ['an index that refuses connections', { PIP_INDEX_URL: 'http://127.0.0.1:9/simple/' }],
  ['a proxy that is away', { PIP_INDEX_URL: 'https://index.invalid/simple/', PIP_PROXY: 'http://127.0.0.1:9' }],
] as const) {
  test(`${what} stops set-up, and with an index that answers it goes on`, async (t) => {
    const it = await scene(t, []);
    await stops(t, { ...it, env: { ...it.env, ...env } }, /the package index can't be reached \(/);
    t.regex((await it.checkout.run(it.env)).output, /TensorFlow 2\.21\.0: .* fetched/);
  });
}

test('an index that answers and lacks the wheel leads to the next way, and what came of all is noted', async (t) => {
  const it = await scene(t, [], { isIndexed: false });
  const { output } = await it.checkout.run(it.env);
  t.regex(output, /engine: not by TensorFlow's wheel: your package index does not have tensorflow/);
  t.regex(output, /engine: not by the installer of tfjs-node-gpu: it failed \(the vendor is away\)/);
  t.regex(output, PLAIN);
  t.true(existsSync(join(it.checkout.root, STAMP)));
});
