/** Downloads that break off: real pip and npm against a server on loopback that ends its answers early. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { sleep } from '../../lib/base/clock.ts';
import { createRandom } from '../../lib/base/random.ts';
import { type Cut, type CuttingServer, serveCut } from '../helpers/cutting-server.ts';
import { zipOf } from '../helpers/pickle-writer.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

const SEED = 7;
const BYTES = 3_000_000;
const HALF = 1_500_000;
const CONTENT = noise(SEED, BYTES);

const SCRIPTS = new URL('../../scripts/setup/', import.meta.url);

/** Bytes that don't compress. */
function noise(seed: number, length: number): Buffer {
  const random = createRandom(seed);
  return Buffer.from(Uint8Array.from({ length }, () => random.nextInt(256)));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

interface Scene {
  readonly server: CuttingServer;
  readonly cache: string;
  /** What is downloaded, its name among the downloads, and the module's call that does it. */
  readonly bytes: Buffer;
  readonly name: string;
  readonly module: string;
  readonly call: string;
  readonly env: Record<string, string>;
}

/** A package index with one wheel. */
async function wheelScene(t: ExecutionContext, cuts: readonly Cut[], options = {}): Promise<Scene> {
  const info = 'tiny_weights-1.0.dist-info';
  const metadata = 'Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n';
  const tags = 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n';
  const wheel = zipOf([
    { name: 'tiny_weights/tiny.pth', content: CONTENT },
    { name: `${info}/METADATA`, content: Buffer.from(metadata) },
    { name: `${info}/WHEEL`, content: Buffer.from(tags) },
    { name: `${info}/RECORD`, content: Buffer.alloc(0) },
  ]);
  const file = 'tiny_weights-1.0-py3-none-any.whl';
  const page = `<!DOCTYPE html><a href="/files/${file}#sha256=${sha256(wheel)}">${file}</a>`;
  const server = await serveCut(t, () => ({ '/simple/tiny-weights/': page, [`/files/${file}`]: wheel }), cuts, options);
  const pin = { requirement: 'tiny-weights==1.0', sha256: sha256(wheel), pipPlatform: 'any', bytes: wheel.length };
  return {
    server,
    cache: await tempFolder(t),
    bytes: wheel,
    name: sha256(wheel),
    module: 'pip',
    call: `downloadWheel(${JSON.stringify(pin)}, folder, { cache, update() {} })`,
    env: { PIP_INDEX_URL: `${server.url}/simple/`, PIP_CONFIG_FILE: '/dev/null', PIP_FIND_LINKS: '' },
  };
}

/** A registry with one package. */
async function packageScene(t: ExecutionContext, cuts: readonly Cut[], options = {}): Promise<Scene> {
  const tarball = gzipSync(CONTENT);
  const digest = createHash('sha512').update(tarball).digest();
  const integrity = `sha512-${digest.toString('base64')}`;
  const server = await serveCut(
    t,
    (url) => {
      const dist = { tarball: `${url}/files/tiny-1.0.0.tgz`, integrity };
      const versions = { '1.0.0': { name: 'tiny', version: '1.0.0', dist } };
      const document = { name: 'tiny', 'dist-tags': { latest: '1.0.0' }, versions };
      return { '/tiny': JSON.stringify(document), '/files/tiny-1.0.0.tgz': tarball };
    },
    cuts,
    options,
  );
  const folder = await tempFolder(t);
  return {
    server,
    cache: await tempFolder(t),
    bytes: tarball,
    name: digest.toString('hex').slice(0, 64),
    module: 'npm',
    call: `npmPack(${JSON.stringify({ spec: 'tiny@1.0.0', integrity })}, folder, { cache })`,
    env: {
      npm_config_registry: server.url,
      npm_config_cache: join(folder, 'npm'),
      npm_config_userconfig: join(folder, 'npmrc'),
      npm_config_fetch_retry_mintimeout: '10',
    },
  };
}

/** Downloads in a process of its own, as set-up does. */
function start({ module, call, cache, env }: Scene): ChildProcess {
  const folder = join(cache, 'staging', `run-${readdirSync(cache).length}-${Math.floor(performance.now())}`);
  mkdirSync(folder, { recursive: true });
  const script = `
    import { ${call.split('(')[0]} } from ${JSON.stringify(new URL(`${module}.mjs`, SCRIPTS).href)};
    const [cache, folder] = process.argv.slice(1);
    try {
      console.log(await ${call});
    } catch (error) {
      console.error(error.message);
      process.exitCode = 1;
    }`;
  return spawn(process.execPath, ['--input-type=module', '-e', script, cache, folder], {
    env: { ...process.env, ...env, HOME: cache },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function finish(child: ChildProcess): Promise<{ code: number | null; output: string }> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output += chunk;
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output: output.trim() };
}

async function downloads(t: ExecutionContext, scene: Scene): Promise<void> {
  const { code, output } = await finish(start(scene));
  t.is(code, 0, output);
  t.true(readFileSync(output).equals(scene.bytes));
}

for (const [what, makeScene] of [
  ['a wheel', wheelScene],
  ["a package's tarball", packageScene],
] as const) {
  test(`${what}: a connection that breaks is taken up where it broke (seed ${SEED})`, async (t) => {
    const scene = await makeScene(t, [{ afterBytes: HALF, end: 'cut' }]);
    await downloads(t, scene);
    const [first, second, ...more] = scene.server.requests;
    t.is(first?.from, 0);
    t.is(more.length, 0);
    // What was on its way when the connection broke may be lost.
    const from = second?.from ?? 0;
    t.true(from > 0 && from <= HALF, `goes on at ${from}`);
    t.is(from + (second?.bytes ?? 0), scene.bytes.length);
  });

  test(`${what}: after SIGKILL of the set-up no client stays, and the next run fetches only the rest (seed ${SEED})`, async (t) => {
    const scene = await makeScene(t, [{ afterBytes: HALF, end: 'silence' }]);
    const child = start(scene);
    const { closed } = await scene.server.silent;
    const part = join(scene.cache, 'downloads', `${scene.name}.part`);
    while (!existsSync(part) || statSync(part).size < HALF / 2) await sleep(20);
    child.kill('SIGKILL');
    await closed;
    const held = readFileSync(part);
    t.true(held.equals(scene.bytes.subarray(0, held.length)));
    await downloads(t, scene);
    const second = scene.server.requests[1];
    t.deepEqual(second, { ...second, from: held.length, bytes: scene.bytes.length - held.length } as typeof second);
  });

  test(`${what}: what is whole already is not fetched at all`, async (t) => {
    const scene = await makeScene(t, []);
    await downloads(t, scene);
    await downloads(t, scene);
    t.is(scene.server.requests.length, 1);
  });

  test(`${what}: a damaged part is thrown away, and all of it fetched`, async (t) => {
    const scene = await makeScene(t, []);
    mkdirSync(join(scene.cache, 'downloads'));
    writeFileSync(join(scene.cache, 'downloads', `${scene.name}.part`), Buffer.alloc(HALF));
    await downloads(t, scene);
    t.deepEqual(
      scene.server.requests.map(({ from }) => from),
      [HALF, 0],
    );
  });

  test(`${what}: more than there is, is thrown away too`, async (t) => {
    const scene = await makeScene(t, []);
    mkdirSync(join(scene.cache, 'downloads'));
    writeFileSync(join(scene.cache, 'downloads', `${scene.name}.part`), Buffer.alloc(BYTES * 2));
    await downloads(t, scene);
    t.is(scene.server.requests.at(-1)?.from, 0);
  });

  test(`${what}: a server without ranges sends all of it again`, async (t) => {
    const scene = await makeScene(t, [], { ranges: false });
    mkdirSync(join(scene.cache, 'downloads'));
    writeFileSync(join(scene.cache, 'downloads', `${scene.name}.part`), scene.bytes.subarray(0, HALF));
    await downloads(t, scene);
    t.deepEqual(
      scene.server.requests.map(({ from, bytes }) => [from, bytes]),
      [[0, scene.bytes.length]],
    );
  });
}
