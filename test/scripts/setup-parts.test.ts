import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseManifest } from '../../lib/data/manifest.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

interface Parts {
  [name: string]: (...args: never[]) => unknown;
}

/** The set-up's modules are plain JavaScript, so that they run before anything is installed. */
async function part<T = Parts>(name: string): Promise<T> {
  return (await import(new URL(`../../scripts/setup/${name}.mjs`, import.meta.url).href)) as T;
}

test('a Node version is judged by the ranges of package.json', async (t) => {
  const { satisfies } = await part<{ satisfies(version: string, range: string): boolean }>('node-version');
  const range = '^20.19.0 || ^22.20.0';
  for (const version of ['20.19.0', '20.20.2', '22.20.0', '22.21.1']) t.true(satisfies(version, range), version);
  for (const version of ['18.20.0', '20.18.3', '21.7.0', '22.19.9', '23.0.0', '24.1.0'])
    t.false(satisfies(version, range), version);
});

test('the cache: STILLHOUSE_CACHE, then XDG (absolute only), then the home', async (t) => {
  const { cacheRoot } = await part<{ cacheRoot(env: object): string }>('paths');
  t.is(cacheRoot({ STILLHOUSE_CACHE: '/a', XDG_CACHE_HOME: '/b' }), '/a');
  t.is(cacheRoot({ XDG_CACHE_HOME: '/b' }), '/b/stillhouse');
  t.regex(cacheRoot({ XDG_CACHE_HOME: 'relative' }), /\/\.cache\/stillhouse$/);
});

test('too little disk space is refused with both numbers', async (t) => {
  type Space = { checkSpace(free: number, need: number, folder: string, what: string): void };
  const { checkSpace } = await part<Space>('space');
  t.notThrows(() => checkSpace(1.6e9, 1.6e9, '/x', 'TensorFlow'));
  t.throws(() => checkSpace(1.2e9, 1.6e9, '/x', 'TensorFlow'), {
    message: 'not enough disk space for TensorFlow: /x has 1.20 GB free, 1.60 GB needed',
  });
});

test('platforms without a wheel are told why', async (t) => {
  type Machine = { platform: string; arch: string; glibc?: string };
  type Choice = { wheel?: { requirement: string }; reason?: string };
  const { tensorflowWheel } = await part<{ tensorflowWheel(machine: Machine): Choice }>('tensorflow');
  t.is(tensorflowWheel({ platform: 'linux', arch: 'x64', glibc: '2.36' }).wheel?.requirement, 'tensorflow-cpu==2.21.0');
  t.is(tensorflowWheel({ platform: 'linux', arch: 'arm64', glibc: '2.27' }).wheel?.requirement, 'tensorflow==2.21.0');
  t.regex(tensorflowWheel({ platform: 'linux', arch: 'x64' }).reason ?? '', /musl/);
  t.regex(tensorflowWheel({ platform: 'linux', arch: 'x64', glibc: '2.17' }).reason ?? '', /glibc 2\.27.*has 2\.17/);
  t.regex(tensorflowWheel({ platform: 'sunos', arch: 'x64' }).reason ?? '', /sunos/);
  const { natsServerWheel } = await part<{ natsServerWheel(platform: string, arch: string): object }>('nats');
  t.throws(() => natsServerWheel('sunos', 'x64'), { message: /no pinned nats-server for sunos/ });
});

test('what an install lacks is found; optional packages for other machines are not missed', async (t) => {
  const { missingPackages } = await part<{ missingPackages(lock: object, hidden: object): string[] }>('dependencies');
  const other = process.platform === 'linux' ? 'win32' : 'linux';
  const lock = {
    packages: {
      '': { dependencies: { a: '1.0.0' }, optionalDependencies: { o: '1.0.0' } },
      'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
      'node_modules/o': { version: '1.0.0', integrity: 'sha512-o', optional: true },
      'node_modules/here': { version: '1.0.0', optional: true, os: [process.platform], cpu: [process.arch] },
      'node_modules/there': { version: '1.0.0', optional: true, os: [other] },
      'node_modules/there-needs': { version: '1.0.0', optional: true },
    },
  };
  const installed = {
    'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
    'node_modules/o': { version: '1.0.0', integrity: 'sha512-o' },
    'node_modules/here': { version: '1.0.0' },
  };
  t.deepEqual(missingPackages(lock, { packages: installed }), []);
  for (const path of Object.keys(installed)) {
    const { [path as keyof typeof installed]: _, ...rest } = installed;
    t.deepEqual(missingPackages(lock, { packages: rest }), [path]);
  }
  const newer = { ...installed, 'node_modules/a': { version: '1.0.1', integrity: 'sha512-b' } };
  t.deepEqual(missingPackages(lock, { packages: newer }), ['node_modules/a']);
});

test("of pip's settings only those about the network are passed on, the environment first", async (t) => {
  const { pipVariables } = await part<{ pipVariables(listed: string): object }>('pip');
  const listed = [
    ":env:.index-url='https://env/simple'",
    ":env:.user='true'",
    "download.timeout='7'",
    "global.extra-index-url='\\nhttps://a/simple\\nhttps://b/simple'",
    "global.index-url='https://file/simple'",
    "global.no-binary=':all:'",
    'global.proxy="http://it\'s:8080"',
    "global.require-virtualenv='true'",
    "global.timeout='5'",
    "install.target='/x'",
  ].join('\n');
  t.deepEqual(pipVariables(listed), {
    PIP_INDEX_URL: 'https://env/simple',
    PIP_TIMEOUT: '7',
    PIP_EXTRA_INDEX_URL: 'https://a/simple https://b/simple',
    PIP_PROXY: "http://it's:8080",
  });
});

test("npm's own reason is what is shown", async (t) => {
  const { npmError } = await part<{ npmError(what: string, output: string): Error }>('npm');
  const offline = [
    'npm error code ENOTFOUND',
    'npm error syscall getaddrinfo',
    'npm error network request to https://registry.example.com/zod failed, reason: getaddrinfo ENOTFOUND registry.example.com',
    'npm error A complete log of this run can be found in: /x',
  ].join('\n');
  t.regex(
    npmError('npm ci failed', offline).message,
    /can't be reached \(network request .* ENOTFOUND registry\.example\.com\)$/,
  );
  const damaged = 'npm error code EINTEGRITY\nnpm error sha512-a integrity checksum failed when using sha512';
  t.regex(npmError('npm ci failed', damaged).message, /wrong hash/);
});

test('a download with another hash is refused', async (t) => {
  type Pin = { spec: string; integrity: string };
  const { checkIntegrity } = await part<{ checkIntegrity(path: string, pin: Pin): Promise<void> }>('npm');
  const file = join(await tempFolder(t), 'some.tgz');
  writeFileSync(file, 'content');
  const integrity = `sha512-${createHash('sha512').update('content').digest('base64')}`;
  await t.notThrowsAsync(() => checkIntegrity(file, { spec: 'some@1.0.0', integrity }));
  writeFileSync(file, 'Content');
  await t.throwsAsync(() => checkIntegrity(file, { spec: 'some@1.0.0', integrity }), {
    message: /wrong hash: some@1\.0\.0/,
  });
});

test('the manifest of CIFAR-10 is one that the product reads; other files are refused', async (t) => {
  type Cifar10 = {
    cifar10Manifest(): { digest: string; files: { path: string; sha256: string }[] };
    checkFiles(found: Record<string, string>, source: string): void;
  };
  const { cifar10Manifest, checkFiles } = await part<Cifar10>('cifar10');
  const manifest = cifar10Manifest();
  t.is(parseManifest(JSON.stringify(manifest), 'manifest.json').digest, manifest.digest);
  const found = Object.fromEntries(manifest.files.map(({ path, sha256 }) => [path, sha256]));
  t.notThrows(() => checkFiles(found, 'x'));
  t.throws(() => checkFiles({ ...found, 'test_batch.bin': '0'.repeat(64) }, 'x'), {
    message: /wrong hash: test_batch\.bin/,
  });
  const { 'data_batch_3.bin': _, ...fewer } = found;
  t.throws(() => checkFiles(fewer, 'x'), { message: /data_batch_3\.bin is missing/ });
});

test('a tarball is read as tar wrote it; a cut one is refused', async (t) => {
  type File = { name: string; content: Buffer };
  const { readTarball } = await part<{
    readTarball(path: string, wanted: (name: string) => boolean): AsyncIterable<File>;
  }>('tar');
  const folder = await tempFolder(t);
  mkdirSync(join(folder, 'in'));
  const contents: Record<string, Buffer> = {};
  for (const size of [0, 1, 511, 512, 513, 3_000_000]) {
    contents[`in/${size}.bin`] = Buffer.from(Array.from({ length: size }, (_, i) => (i * 31) % 251));
    writeFileSync(join(folder, `in/${size}.bin`), contents[`in/${size}.bin`] as Buffer);
  }
  const archive = join(folder, 'all.tar.gz');
  execFileSync('tar', ['--format=ustar', '-czf', archive, '-C', folder, 'in']);
  const found: Record<string, Buffer> = {};
  for await (const { name, content } of readTarball(archive, (name) => name !== 'in/511.bin'))
    found[name] = Buffer.from(content);
  const { 'in/511.bin': _, ...rest } = contents;
  t.deepEqual(found, rest);
  const cut = join(folder, 'cut.tar.gz');
  execFileSync('sh', ['-c', 'head -c 300 "$0" > "$1"', archive, cut]);
  await t.throwsAsync(
    async () => {
      for await (const { name } of readTarball(cut, () => true)) t.log(name);
    },
    { message: /not a whole \.tar\.gz/ },
  );
});

test("ava's TAP is counted exactly, whatever tests are called", async (t) => {
  type Reader = {
    read(line: string): void;
    result: { passed: number; failed: number; skipped: number; finished: boolean };
  };
  const { TapReader } = await part<{ TapReader: new (show: (line: string) => void) => Reader }>('tap');
  const shown: string[] = [];
  const reader = new TapReader((line) => shown.push(line));
  const text = [
    'TAP version 13',
    'ok 1 - a › later # SKIP',
    'not ok 2 - a › idea # TODO',
    'ok 3 - says "7 passed, 0 failed"',
    '#   a log line',
    'not ok 4 - Error: late',
    '  ---',
    '    message: not ok 9 - inside',
    '  ...',
    'ok 5',
    'not ok 6 - handles # TODO comments',
    'not ok 7 - cut # SKIP',
    'ok 8 - takes # TODO',
    'not ok 9 - ends in # TODO',
    '#   a log line',
    '  ---',
    '    message: why',
    '  ...',
    '',
    '1..9',
    '# tests 4',
    '# pass 2',
  ];
  for (const line of text) reader.read(line);
  const { passed, failed, skipped, finished } = reader.result;
  t.deepEqual({ passed, failed, skipped, finished }, { passed: 3, failed: 4, skipped: 2, finished: true });
  t.true(shown.some((line) => line.includes('message: not ok 9 - inside')));
});
