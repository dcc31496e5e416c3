import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { listenOnLoopback } from '../helpers/loopback.ts';
import { type Finished, ScratchCheckout } from '../helpers/scratch-checkout.ts';

const EVERYTHING = ['node', 'npm', 'sh', 'g++', 'python3'];

/** One clear line, exit code 1, and nothing half-made. */
function refuses(
  t: ExecutionContext,
  checkout: ScratchCheckout,
  { code, output }: Finished,
  ...expected: RegExp[]
): void {
  t.is(code, 1, output);
  const lines = output.split('\n').filter((line) => line.startsWith('set-up: '));
  t.is(lines.length, 1, output);
  for (const pattern of expected) t.regex(lines[0] ?? '', pattern);
  t.notRegex(output, /\n {4}at /, 'a stack is not for users');
  leavesNothing(t, checkout);
}

function leavesNothing(t: ExecutionContext, checkout: ScratchCheckout): void {
  t.false(existsSync(join(checkout.cache, 'staging')));
  t.false(existsSync(join(checkout.cache, 'setup.lock')));
  t.false(existsSync(join(checkout.cache, 'tensorflow')));
}

/** A package index on loopback that takes connections and never answers. */
async function silentIndex(t: ExecutionContext): Promise<{ url: string; connected: Promise<Socket> }> {
  let onConnection: (socket: Socket) => void;
  const connected = new Promise<Socket>((resolve) => {
    onConnection = resolve;
  });
  const server = createServer((socket) => {
    socket.on('error', (error) => t.log(`the index lost its client: ${error.message}`));
    socket.resume();
    onConnection(socket);
  });
  t.teardown(() => server.close());
  return { url: `${await listenOnLoopback(server)}/simple`, connected };
}

test('a Node that package.json does not allow is refused', async (t) => {
  const checkout = await ScratchCheckout.make(t, EVERYTHING);
  checkout.describePackages({ engines: { node: '^99.1.0' } }, {});
  refuses(t, checkout, await checkout.run(), /this is Node .*needs \^99\.1\.0/, /install Node/);
});

test('a missing npm is named', async (t) => {
  const checkout = await ScratchCheckout.make(t, ['node']);
  checkout.describePackages({ dependencies: { some: '1.0.0' } }, {});
  refuses(t, checkout, await checkout.run(), /npm is missing/);
});

test('a cache that can not be made is named', async (t) => {
  const checkout = await ScratchCheckout.make(t, ['node']);
  writeFileSync(join(checkout.home, 'file'), '');
  const outcome = await checkout.run({ STILLHOUSE_CACHE: join(checkout.home, 'file', 'cache') });
  refuses(t, checkout, outcome, /ENOTDIR.*home\/file/, /STILLHOUSE_CACHE/);
});

test('a missing g++ is named before anything is downloaded', async (t) => {
  const checkout = await ScratchCheckout.make(t, ['node', 'npm', 'python3']);
  const { url } = await silentIndex(t);
  refuses(t, checkout, await checkout.run({ PIP_INDEX_URL: url }), /g\+\+ is missing/, /apt-get install g\+\+/);
});

test('a missing python3 is named', async (t) => {
  const checkout = await ScratchCheckout.make(t, ['node', 'npm', 'g++']);
  refuses(t, checkout, await checkout.run(), /python3 is missing/, /apt-get install/);
});

test('a python3 without pip is told from none', async (t) => {
  const checkout = await ScratchCheckout.make(t, ['node', 'npm', 'g++']);
  const environment = join(checkout.home, 'no-pip');
  execFileSync('python3', ['-m', 'venv', '--without-pip', environment]);
  checkout.addProgram('python3', join(environment, 'bin', 'python3'));
  // Through the link Python finds its environment only by its own path.
  const outcome = await checkout.run({ PATH: `${join(environment, 'bin')}:${join(checkout.root, '../tools')}` });
  refuses(t, checkout, outcome, /pip is missing for python3/, /python3-pip/);
});

test('an index that can not be reached is said so', async (t) => {
  const checkout = await ScratchCheckout.make(t, EVERYTHING);
  const outcome = await checkout.run({ PIP_INDEX_URL: 'http://127.0.0.1:9/simple', PIP_RETRIES: '1' });
  refuses(t, checkout, outcome, /tensorflow.*the package index can't be reached/, /check the network/);
});

test('a wheel that is not the pinned one is refused', async (t) => {
  const checkout = await ScratchCheckout.make(t, EVERYTHING);
  const links = join(checkout.home, 'links');
  mkdirSync(links);
  const arch = process.arch === 'x64' ? ['tensorflow_cpu', 'x86_64'] : ['tensorflow', 'aarch64'];
  writeFileSync(join(links, `${arch[0]}-2.21.0-cp311-cp311-manylinux_2_27_${arch[1]}.whl`), 'not the real one');
  const outcome = await checkout.run({ PIP_NO_INDEX: '1', PIP_FIND_LINKS: links });
  refuses(t, checkout, outcome, /wrong hash: tensorflow/, /damaged|not the one/);
});

test("pip settings of the user's about installing do not matter, those about the index do", async (t) => {
  const checkout = await ScratchCheckout.make(t, EVERYTHING);
  mkdirSync(join(checkout.home, '.config', 'pip'), { recursive: true });
  const settings = [
    'user = true',
    'require-virtualenv = true',
    'target = /nowhere',
    'index-url = http://127.0.0.1:9/mine',
  ];
  writeFileSync(
    join(checkout.home, '.config', 'pip', 'pip.conf'),
    ['[global]', 'retries = 0', 'quiet = 3', ...settings, ''].join('\n'),
  );
  const outcome = await checkout.run({ PIP_NO_BINARY: ':all:', PIP_DRY_RUN: '1', PIP_QUIET: '3' });
  refuses(t, checkout, outcome, /tensorflow.*the package index can't be reached/);
});

test('npm settings of the user do not change what is installed, and no script runs', async (t) => {
  const checkout = await ScratchCheckout.make(t, ['node', 'npm', 'sh']);
  checkout.write('dep/package.json', JSON.stringify({ name: 'dep', version: '1.0.0', scripts: { install: 'exit 1' } }));
  checkout.describePackages(
    { devDependencies: { dep: 'file:dep' } },
    {
      dep: { version: '1.0.0', dev: true, hasInstallScript: true },
      'node_modules/dep': { resolved: 'dep', link: true, dev: true },
    },
  );
  const settings = [
    'ignore-scripts=false',
    'omit=dev',
    'dry-run=true',
    'global=true',
    'package-lock=false',
    'workspaces=true',
  ];
  const more = [
    'engine-strict=true',
    'legacy-peer-deps=true',
    'package-lock-only=true',
    'production=true',
    'bin-links=false',
  ];
  writeFileSync(join(checkout.home, '.npmrc'), [...settings, ...more, 'os=win32', 'loglevel=silent', ''].join('\n'));
  const environment = { NODE_ENV: 'production', npm_config_ignore_scripts: 'false', npm_config_omit: 'dev' };
  const outcome = await checkout.run(environment);
  t.regex(outcome.output, /npm packages: \d+ installed/);
  t.true(existsSync(join(checkout.root, 'node_modules', 'dep', 'package.json')), outcome.output);
});

test('a second set-up waits for the first, and says so', async (t) => {
  const checkout = await ScratchCheckout.make(t, EVERYTHING);
  const { url, connected } = await silentIndex(t);
  const first = checkout.start({ PIP_INDEX_URL: url });
  await connected;
  const second = checkout.start({ PATH: '/nowhere' });
  await second.says(`another set-up is running (process ${first.child.pid} on ${hostname()})`);
  first.child.kill('SIGTERM');
  t.is((await first.finished).code, 143);
  // Its turn comes, and ends at what it misses.
  refuses(t, checkout, await second.finished, /g\+\+ is missing/);
});

test('the lock of a process that is gone holds nobody up', async (t) => {
  const checkout = await ScratchCheckout.make(t, ['node']);
  mkdirSync(join(checkout.cache, 'staging', 'left-over'), { recursive: true });
  const gone = execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }).trim();
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const pidNamespace = readlinkSync('/proc/self/ns/pid');
  const holder = { pid: Number(gone), host: hostname(), boot, pidNamespace, start: '1', token: 'gone' };
  writeFileSync(join(checkout.cache, 'setup.lock'), JSON.stringify(holder));
  const outcome = await checkout.run();
  refuses(t, checkout, outcome, /g\+\+ is missing/);
  t.notRegex(outcome.output, /another set-up/);
  t.deepEqual(readdirSync(checkout.cache), []);
});

test('a process number of another container or boot says nothing about the lock', async (t) => {
  const checkout = await ScratchCheckout.make(t, ['node']);
  const gone = execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }).trim();
  const holder = { pid: Number(gone), host: hostname(), boot: 'x', pidNamespace: 'pid:[1]', start: '1', token: 'far' };
  mkdirSync(checkout.cache);
  writeFileSync(join(checkout.cache, 'setup.lock'), JSON.stringify(holder));
  const setup = checkout.start();
  await setup.says('another set-up is running');
  setup.child.kill('SIGTERM');
  t.is((await setup.finished).code, 143);
});

for (const [name, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(`${name} while pip downloads ends it, says so and leaves nothing`, async (t) => {
    const checkout = await ScratchCheckout.make(t, EVERYTHING);
    const { url, connected } = await silentIndex(t);
    const setup = checkout.start({ PIP_INDEX_URL: url });
    const pip = await connected;
    const pipIsGone = new Promise((resolve) => pip.once('close', resolve));
    setup.child.kill(name);
    // npm forwards what the terminal has sent already: the same wish.
    setup.child.kill(name);
    const outcome = await setup.finished;
    t.is(outcome.code, code, outcome.output);
    t.regex(outcome.output, /\nset-up: stopped\n$/);
    await pipIsGone;
    leavesNothing(t, checkout);
  });
}
