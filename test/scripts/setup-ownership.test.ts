/** Set-up replaces what it has written itself, also when that is damaged, and nothing else. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { findNatsServer } from '../../cli/cluster/nats-server.ts';
import { ScratchCheckout } from '../helpers/scratch-checkout.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

const BINDING = 'node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v8/tfjs_binding.node';

async function part<T>(name: string): Promise<T> {
  return (await import(new URL(`../../scripts/setup/${name}.mjs`, import.meta.url).href)) as T;
}

test("a cifar10 folder of the user's own is in the way and stays", async (t) => {
  type Cifar10 = {
    cifar10Manifest(): { files: { path: string; sha256: string }[] };
    installCifar10(root: string, cache: string, data: string, context: object): Promise<void>;
  };
  const { cifar10Manifest, installCifar10 } = await part<Cifar10>('cifar10');
  const manifest = cifar10Manifest();
  const theirs = manifest.files.map((file) => ({ ...file, sha256: '0'.repeat(64) }));
  const cases: Record<string, Record<string, string>> = {
    'no manifest': { 'data_batch_1.bin': 'mine' },
    'another manifest': { 'manifest.json': JSON.stringify({ ...manifest, name: 'mine' }) },
    'other content': { 'manifest.json': JSON.stringify({ ...manifest, files: theirs }) },
    'a cut manifest': { 'manifest.json': JSON.stringify(manifest).slice(0, 100) },
    'something besides': { 'manifest.json': JSON.stringify(manifest), 'notes.txt': 'mine' },
  };
  for (const [what, files] of Object.entries(cases)) {
    const data = await tempFolder(t);
    const folder = join(data, 'cifar10');
    mkdirSync(folder);
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    await t.throwsAsync(() => installCifar10('/nowhere', join(data, 'cache'), data, {}), {
      name: 'SetupError',
      message: /cifar10 is in the way/,
    });
    for (const [name, content] of Object.entries(files)) t.is(readFileSync(join(folder, name), 'utf8'), content, what);
  }
});

test('what set-up wrote, nothing, an empty folder: these it may replace; a link it may not', async (t) => {
  type Cifar10 = { cifar10Manifest(): object; requireReplaceable(folder: string): Promise<void> };
  const { cifar10Manifest, requireReplaceable } = await part<Cifar10>('cifar10');
  const data = await tempFolder(t);
  const folder = join(data, 'cifar10');
  await t.notThrowsAsync(() => requireReplaceable(folder));
  mkdirSync(folder);
  await t.notThrowsAsync(() => requireReplaceable(folder));
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(cifar10Manifest()));
  writeFileSync(join(folder, 'data_batch_1.bin'), 'cut off');
  await t.notThrowsAsync(() => requireReplaceable(folder));
  symlinkSync('/does/not/exist', join(data, 'link'));
  await t.throwsAsync(() => requireReplaceable(join(data, 'link')), { message: /in the way/ });
});

test('a folder comes into place whole, with nothing left beside it', async (t) => {
  const { replaceFolder } = await part<{ replaceFolder(from: string, to: string): Promise<void> }>('files');
  const folder = await tempFolder(t);
  const to = join(folder, 'place', 'to');
  for (const content of ['old', 'new']) {
    const from = join(folder, content);
    mkdirSync(from);
    writeFileSync(join(from, 'file'), content);
    await replaceFolder(from, to);
    t.is(readFileSync(join(to, 'file'), 'utf8'), content);
  }
  await t.throwsAsync(() => replaceFolder(join(folder, 'missing'), to), { code: 'ENOENT' });
  t.is(readFileSync(join(to, 'file'), 'utf8'), 'new');
  t.deepEqual(readdirSync(join(folder, 'place')), ['to']);
});

test("a binding of the user's own that no longer loads is left to them; ours is built anew", async (t) => {
  const checkout = await ScratchCheckout.make(t, ['node']);
  checkout.write(BINDING, 'mine');
  checkout.write(`${BINDING}.stillhouse.json`, JSON.stringify({ source: 'existing', bytes: 1 }));
  const refused = await checkout.run();
  t.is(refused.code, 1);
  t.regex(refused.output, /set-up: the TensorFlow binding that you have put there can't load: .*remove .*tfjs_binding/);
  t.is(readFileSync(join(checkout.root, BINDING), 'utf8'), 'mine');
  // Announced, then interrupted: not adopted, whether it loads or not.
  checkout.write(`${BINDING}.stillhouse.json`, JSON.stringify({ source: 'wheel', key: 'x' }));
  t.regex((await checkout.run()).output, /g\+\+ is missing/);
});

test('an announced binding counts as not seen to load', async (t) => {
  type Binding = {
    announceBinding(root: string, fields: object): Promise<void>;
    readBindingStamp(root: string): Promise<object | undefined>;
    writeBindingStamp(root: string, fields: object): Promise<void>;
    bindingSource(root: string): Promise<string | undefined>;
    removeBinding(root: string): Promise<void>;
  };
  const binding = await part<Binding>('binding');
  const { root, write } = await ScratchCheckout.make(t, []).then((checkout) => ({
    root: checkout.root,
    write: (content: string) => checkout.write(BINDING, content),
  }));
  await binding.announceBinding(root, { source: 'wheel', key: 'x' });
  t.is(await binding.readBindingStamp(root), undefined);
  write('compiled');
  t.is(await binding.readBindingStamp(root), undefined);
  t.is(await binding.bindingSource(root), 'wheel');
  await binding.writeBindingStamp(root, { source: 'wheel', key: 'x' });
  t.like(await binding.readBindingStamp(root), { source: 'wheel', key: 'x' });
  await binding.removeBinding(root);
  t.is(await binding.bindingSource(root), undefined);
  t.false(existsSync(join(root, BINDING)));
});

test("a record of npm's that was cut off leads to a new install", async (t) => {
  const checkout = await ScratchCheckout.make(t, ['node', 'npm', 'sh']);
  checkout.write('node_modules/.package-lock.json', '{"lockfileVersion": 3, "pack');
  checkout.write('dep/package.json', JSON.stringify({ name: 'dep', version: '1.0.0' }));
  checkout.write('node_modules/dep/package.json', '{}');
  checkout.describePackages(
    { dependencies: { dep: 'file:dep' } },
    { dep: { version: '1.0.0' }, 'node_modules/dep': { resolved: 'dep', link: true } },
  );
  const { output } = await checkout.run();
  t.regex(output, /npm packages: \d+ installed/);
  t.notRegex(output, /SyntaxError/);
});

test('a damaged nats-server in the cache is fetched anew, not taken as it is', async (t) => {
  type Nats = {
    natsServerReady(cache: string, env: object): Promise<object | undefined>;
    installNatsServer(cache: string, context: object): Promise<void>;
  };
  const { natsServerReady, installNatsServer } = await part<Nats>('nats');
  const { NATS_SERVER_VERSION } = await part<{ NATS_SERVER_VERSION: string }>('pins');
  const cache = await tempFolder(t);
  const path = join(cache, 'bin', `nats-server-${NATS_SERVER_VERSION}`);
  mkdirSync(join(cache, 'bin'));
  writeFileSync(path, 'a nats-server');
  const sha256 = '0'.repeat(64);
  const record = { source: 'cache', path, version: NATS_SERVER_VERSION, bytes: 13, fetched: { bytes: 13, sha256 } };
  const text = JSON.stringify(record);
  writeFileSync(join(cache, 'nats-server.json'), text);
  t.like(await natsServerReady(cache, {}), { source: 'cache', path });
  const stopped = new AbortController();
  stopped.abort(new Error('would fetch'));
  const step = (_: string, work: (update: () => void) => unknown) => work(() => undefined);
  const context = { env: {}, signal: stopped.signal, progress: { step } };
  const refetches = () => t.throwsAsync(() => installNatsServer(cache, context), { message: 'would fetch' });
  await refetches(); // the right size, other content
  truncateSync(path, 5);
  t.is(await natsServerReady(cache, {}), undefined);
  await refetches();
  t.is(readFileSync(join(cache, 'nats-server.json'), 'utf8'), text);
});

test('the command line takes the nats-server that set-up chose, else its newest, else the one on PATH', async (t) => {
  const folder = await tempFolder(t);
  const program = (...path: string[]) => {
    const file = join(folder, ...path);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, '');
    chmodSync(file, 0o755);
    return file;
  };
  const environment = { STILLHOUSE_CACHE: join(folder, 'cache'), PATH: join(folder, 'path') };
  const record = join(folder, 'cache', 'nats-server.json');
  t.throws(() => findNatsServer(environment), { message: /there is no nats-server/ });
  const onPath = program('path', 'nats-server');
  t.is(findNatsServer(environment), onPath);
  program('cache', 'bin', 'nats-server-2.9.25');
  const newest = program('cache', 'bin', 'nats-server-2.10.3');
  program('cache', 'bin', 'nats-server-9.0.0.tmp');
  t.is(findNatsServer(environment), newest);
  for (const damaged of ['{"path": ', 'null', '{"path": 1}', JSON.stringify({ path: '/does/not/exist' })]) {
    writeFileSync(record, damaged);
    t.is(findNatsServer(environment), newest, damaged);
  }
  const chosen = program('elsewhere', 'nats-server');
  writeFileSync(record, JSON.stringify({ source: 'path', path: chosen }));
  t.is(findNatsServer(environment), chosen);
});
