/** The files of published data sets: pinned by content, wherever they come from, and gone on with after a cut. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { createRandom } from '../../lib/base/random.ts';
import { type Cut, serveCut } from '../helpers/cutting-server.ts';
import { untilWritten } from '../helpers/partial-files.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

interface Pin {
  readonly name: string;
  readonly title: string;
  readonly debian?: { readonly package: string; readonly folder: string; readonly bytes: number };
  readonly web?: { readonly address: string; readonly bytes: number };
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[];
}

interface Sources {
  sourceFolder(cache: string, pin: Pin): string;
  sourceReady(cache: string, pin: Pin): Promise<boolean>;
  installSource(cache: string, context: object, pin: Pin): Promise<void>;
  provideSource(cache: string, context: object, pin: Pin): Promise<void>;
}

const { sourceFolder, sourceReady, installSource, provideSource } = (await import(
  new URL('../../scripts/setup/datasets.mjs', import.meta.url).href
)) as Sources;

const SEED = 11;
const NAMES = ['images-idx3-ubyte', 'labels-idx1-ubyte'];

/** Bytes that do not compress, so that cuts fall where they are said to. */
function contents(): Buffer[] {
  const random = createRandom(SEED);
  return NAMES.map((_, index) => Buffer.from(Array.from({ length: 3000 + index }, () => random.nextInt(256))));
}

function pinOf(files: readonly Buffer[], more: Partial<Pin> = {}): Pin {
  return {
    name: 'tiny',
    title: 'Tiny',
    files: files.map((bytes, index) => ({
      path: NAMES[index] as string,
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    })),
    ...more,
  };
}

function contextOf(said: string[] = []) {
  const step = (_: string, work: (update: () => void) => unknown) => work(() => undefined);
  // Nothing on PATH: neither apt-get nor dpkg-deb.
  return { env: { PATH: '' }, progress: { step, say: (line: string) => said.push(line) } };
}

async function folderOf(t: ExecutionContext, files: Record<string, Buffer>): Promise<string> {
  const folder = await tempFolder(t);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  return folder;
}

test('a copy of the user’s own is taken, packed or not, and what is damaged in the cache is replaced', async (t) => {
  const files = contents();
  const [images, labels] = files as [Buffer, Buffer];
  const pin = pinOf(files);
  const cache = await tempFolder(t);
  t.false(await sourceReady(cache, pin));
  const from = await folderOf(t, { [`${NAMES[0]}.gz`]: gzipSync(images), [NAMES[1] as string]: labels });
  await installSource(cache, { ...contextOf(), from }, pin);
  t.true(await sourceReady(cache, pin));
  const kept = join(sourceFolder(cache, pin), NAMES[0] as string);
  t.deepEqual(readFileSync(kept), images);
  writeFileSync(kept, Buffer.alloc(images.length));
  t.false(await sourceReady(cache, pin), 'the right size, other content');
  await installSource(cache, { ...contextOf(), from }, pin);
  t.true(await sourceReady(cache, pin));
  t.deepEqual(readdirSync(join(cache, 'staging')), []);
});

test('a folder that the user names is looked at also when the cache has the files', async (t) => {
  const files = contents();
  const [images, labels] = files as [Buffer, Buffer];
  const pin = pinOf(files);
  const cache = await tempFolder(t);
  const [first, second] = NAMES as [string, string];
  const from = await folderOf(t, { [first]: images, [second]: labels });
  await provideSource(cache, { ...contextOf(), from }, pin);
  t.true(await sourceReady(cache, pin));
  // Nowhere to get them from: they need not be got.
  await provideSource(cache, contextOf(), pin);
  writeFileSync(join(from, first), labels);
  await t.throwsAsync(provideSource(cache, { ...contextOf(), from }, pin), { message: /wrong hash: Tiny's images/ });
  t.true(await sourceReady(cache, pin), 'what is good stays');
});

test('other content, a missing file and a file that unpacks to more than it should are refused; nothing is left', async (t) => {
  const files = contents();
  const [images, labels] = files as [Buffer, Buffer];
  const pin = pinOf(files);
  const cache = await tempFolder(t);
  const refused = async (given: Record<string, Buffer>, message: RegExp) => {
    const from = await folderOf(t, given);
    await t.throwsAsync(installSource(cache, { ...contextOf(), from }, pin), { message });
    t.false(existsSync(sourceFolder(cache, pin)));
    t.deepEqual(readdirSync(join(cache, 'staging')), []);
  };
  const [first, second] = NAMES as [string, string];
  await refused(
    { [first]: images, [second]: Buffer.from('other') },
    /wrong hash: Tiny's labels-idx1-ubyte from .*labels/,
  );
  await refused({ [first]: images }, /neither labels-idx1-ubyte nor labels-idx1-ubyte\.gz is in/);
  const bomb = gzipSync(Buffer.alloc(10_000_000));
  await refused(
    { [`${first}.gz`]: bomb, [second]: labels },
    /images-idx3-ubyte\.gz can't be unpacked \(holds more than 3000 bytes/,
  );
  await refused({ [`${first}.gz`]: gzipSync(images).subarray(0, 200), [second]: labels }, /can't be unpacked/);
});

async function served(t: ExecutionContext, files: readonly Buffer[], cuts: readonly Cut[]) {
  const paths = (_: string) =>
    Object.fromEntries(files.map((bytes, index) => [`/${NAMES[index]}.gz`, gzipSync(bytes)]));
  const server = await serveCut(t, paths, cuts);
  const debian = { package: 'dataset-tiny', folder: 'nowhere/datasets/tiny', bytes: 1 };
  return { server, pin: pinOf(files, { debian, web: { address: server.url, bytes: 6000 } }) };
}

test('without apt the files come from their makers, and a cut connection is gone on with', async (t) => {
  const files = contents();
  const cache = await tempFolder(t);
  const before = () => untilWritten(join(cache, 'downloads'), 1000);
  const { server, pin } = await served(t, files, [{ afterBytes: 1000, end: 'cut', before }]);
  const said: string[] = [];
  await installSource(cache, contextOf(said), pin);
  t.true(await sourceReady(cache, pin));
  t.regex(said.join('\n'), /there is no apt-get; trying http/);
  t.deepEqual(
    server.requests.map(({ path, from }) => [path, from]),
    [
      [`/${NAMES[0]}.gz`, 0],
      [`/${NAMES[0]}.gz`, 1000],
      [`/${NAMES[1]}.gz`, 0],
    ],
  );
  t.deepEqual(readdirSync(join(cache, 'downloads')), [], 'what is used up goes');
});

test('an installed Debian package that is not whole is passed over', async (t) => {
  const files = contents();
  const { server, pin } = await served(t, files, []);
  const folder = await folderOf(t, { [NAMES[0] as string]: files[0] as Buffer });
  const installed = { ...pin, debian: { package: 'dataset-tiny', folder, bytes: 1 } };
  const cache = await tempFolder(t);
  const said: string[] = [];
  await installSource(cache, contextOf(said), installed);
  t.true(await sourceReady(cache, installed));
  t.regex(said.join('\n'), /the installed dataset-tiny is of no use: Tiny: neither labels-idx1-ubyte nor/);
  t.is(server.requests.length, 2);
  // Whole, it is taken.
  writeFileSync(join(folder, NAMES[1] as string), files[1] as Buffer);
  await installSource(cache, contextOf(), installed);
  t.is(server.requests.length, 2);
});

test('a download of other content is refused and not kept', async (t) => {
  const files = contents();
  const { pin } = await served(t, [files[0] as Buffer, Buffer.from('something else')], []);
  const cache = await tempFolder(t);
  const wanted = { ...pin, files: pinOf(files).files };
  await t.throwsAsync(installSource(cache, contextOf(), wanted), { message: /wrong hash: Tiny's labels-idx1-ubyte/ });
  const left = readdirSync(join(cache, 'downloads'));
  t.deepEqual(left, [`${wanted.files[0]?.sha256}.part`], 'the good one serves the next try');
  mkdirSync(join(cache, 'sources'), { recursive: true });
  t.false(await sourceReady(cache, wanted));
});
