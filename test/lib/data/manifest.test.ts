import { createHash } from 'node:crypto';
import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { manifestDigest, type OfficialManifest, parseManifest } from '../../../lib/data/manifest.ts';
import { completeManifest } from '../../helpers/small-dataset.ts';

const good = completeManifest<OfficialManifest>({
  formatVersion: 1,
  name: 'trees',
  format: 'cifar10-binary',
  classNames: ['ash', 'beech'],
  image: { height: 32, width: 32, channels: 3 },
  files: [
    { path: 'train.bin', split: 'train', records: 2, bytes: 6146, sha256: 'a'.repeat(64) },
    { path: 'more/test.bin', split: 'test', records: 1, bytes: 3073, sha256: 'b'.repeat(64) },
  ],
});

test('a manifest is read back as it was written, whatever its layout', (t) => {
  t.deepEqual(parseManifest(JSON.stringify(good), 'm.json'), good);
  const reversed = Object.fromEntries(Object.entries(good).reverse());
  t.deepEqual(parseManifest(JSON.stringify(reversed, null, 2), 'm.json'), good);
});

test('the digest is that of the canonical JSON, written out by hand here', (t) => {
  const { formatVersion, format, classNames, image, files } = good;
  t.is(manifestDigest({ files, image, classNames, format, formatVersion }), good.digest);
  const text =
    '{"classNames":["ash","beech"],"files":[' +
    `{"bytes":6146,"path":"train.bin","records":2,"sha256":"${'a'.repeat(64)}","split":"train"},` +
    `{"bytes":3073,"path":"more/test.bin","records":1,"sha256":"${'b'.repeat(64)}","split":"test"}],` +
    '"format":"cifar10-binary","formatVersion":1,"image":{"channels":3,"height":32,"width":32}}';
  t.is(good.digest, `sha256:${createHash('sha256').update(text).digest('hex')}`);
});

test('the digest covers everything but the name', (t) => {
  t.is(manifestDigest({ ...good, name: 'other' }), good.digest);
  const [first, second] = good.files as [OfficialManifest['files'][number], OfficialManifest['files'][number]];
  t.not(manifestDigest({ ...good, classNames: ['beech', 'ash'] }), good.digest);
  t.not(manifestDigest({ ...good, files: [second, first] }), good.digest);
  t.not(manifestDigest({ ...good, files: [first, { ...second, sha256: 'c'.repeat(64) }] }), good.digest);
});

test('a digest that does not match the content is refused', (t) => {
  const text = JSON.stringify({ ...good, classNames: ['ash', 'birch'] });
  const error = t.throws(() => parseManifest(text, 'm.json'), { instanceOf: StillhouseError, message: /^m\.json/ });
  t.is(error?.code, 'DATA_LOSS');
  t.is(error?.field, 'digest');
});

const file = good.files[0];
const refused: [string, object, string][] = [
  ['another version', { formatVersion: 3 }, 'formatVersion'],
  ['no version', { formatVersion: undefined }, 'formatVersion'],
  ['another format', { format: 'idx' }, 'format'],
  ['no classes', { classNames: [] }, 'classNames'],
  ['a class twice', { classNames: ['ash', 'ash'] }, 'classNames[1]'],
  ['more classes than a label byte tells apart', { classNames: Array.from({ length: 257 }, String) }, 'classNames'],
  ['another image size', { image: { height: 28, width: 32, channels: 3 } }, 'image.height'],
  ['no files', { files: [] }, 'files'],
  ['a file twice', { files: [file, file] }, 'files[1].path'],
  ['a size that does not fit the records', { files: [{ ...file, bytes: 6145 }] }, 'files[0].bytes'],
  ['a fraction of a record', { files: [{ ...file, records: 1.5 }] }, 'files[0].records'],
  ['an unknown split', { files: [{ ...file, split: 'validate' }] }, 'files[0].split'],
  ['a hash that is none', { files: [{ ...file, sha256: 'A'.repeat(64) }] }, 'files[0].sha256'],
  ['an unknown key', { extra: 1 }, ''],
];
for (const path of ['/etc/passwd', '../train.bin', 'a/../../b', './a', 'a//b', 'a/', '..', '', 'a\\b', 'a\nb']) {
  refused.push([`the path ${JSON.stringify(path)}`, { files: [{ ...file, path }] }, 'files[0].path']);
}

for (const [what, change, field] of refused) {
  test(`refused: ${what}`, (t) => {
    const text = JSON.stringify({ ...good, ...change });
    const error = t.throws(() => parseManifest(text, 'm.json'), { instanceOf: StillhouseError, message: /^m\.json/ });
    t.is(error?.code, 'INVALID_ARGUMENT');
    t.is(error?.field, field);
  });
}
