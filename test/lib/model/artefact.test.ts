import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import {
  decodeArtefact,
  encodeArtefact,
  parseModelManifest,
  readArtefactFolder,
  writeArtefactFolder,
} from '../../../lib/model/artefact.ts';
import { encodeSafetensors } from '../../../lib/model/safetensors.ts';
import { smallManifest, smallTensors } from '../../helpers/small-model.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

test('a model survives a round trip, and its digest names it', (t) => {
  const artefact = encodeArtefact(smallManifest, smallTensors());
  t.is(artefact.digest, sha256(artefact.manifestBytes));
  t.is(artefact.manifest.weights.digest, sha256(artefact.weightsBytes));
  t.is(artefact.manifest.weights.parameters, 54 + 2 + 16);
  const decoded = decodeArtefact(artefact.manifestBytes, artefact.weightsBytes, artefact.digest);
  const { weights, ...rest } = decoded.manifest;
  t.deepEqual(rest, smallManifest);
  t.deepEqual(weights, artefact.manifest.weights);
  t.deepEqual(new Map([...decoded.tensors].sort()), new Map([...smallTensors()].sort()));
  t.is(decoded.digest, artefact.digest);
});

test('equal models have equal digests, other weights or another manifest another', (t) => {
  const { digest } = encodeArtefact(smallManifest, smallTensors());
  const reordered = Object.fromEntries(Object.entries(smallManifest).reverse()) as unknown as typeof smallManifest;
  t.is(encodeArtefact(reordered, new Map([...smallTensors()].reverse())).digest, digest);
  t.not(encodeArtefact(smallManifest, smallTensors(2)).digest, digest);
  t.not(encodeArtefact({ ...smallManifest, name: 'trees/other' }, smallTensors()).digest, digest);
});

test('optional parts may be absent', (t) => {
  const { metrics: _, ...manifest } = { ...smallManifest, architecture: { name: 'simple-cnn' } };
  const artefact = encodeArtefact(manifest, smallTensors());
  t.false('metrics' in artefact.manifest);
  t.deepEqual(decodeArtefact(artefact.manifestBytes, artefact.weightsBytes).manifest, artefact.manifest);
});

test('tampered bytes are refused', (t) => {
  const { manifestBytes, weightsBytes, digest } = encodeArtefact(smallManifest, smallTensors());
  const flipped = (bytes: Uint8Array) => bytes.with(bytes.length - 2, (bytes.at(-2) as number) ^ 1);
  const other = encodeArtefact(smallManifest, smallTensors(2));
  const cases: [Uint8Array, Uint8Array, RegExp][] = [
    [manifestBytes, flipped(weightsBytes), /weights/],
    [manifestBytes, weightsBytes.subarray(0, -4), /weights/],
    [manifestBytes, other.weightsBytes, /weights/],
    [other.manifestBytes, other.weightsBytes, /manifest/],
    [flipped(manifestBytes), weightsBytes, /manifest/],
  ];
  for (const [manifest, weights, message] of cases) {
    const error = t.throws(() => decodeArtefact(manifest, weights, digest), { instanceOf: StillhouseError, message });
    t.is(error?.code, 'DATA_LOSS');
  }
});

test('a manifest that miscounts its weights is refused', (t) => {
  const { manifest, weightsBytes } = encodeArtefact(smallManifest, smallTensors());
  const text = JSON.stringify({ ...manifest, weights: { ...manifest.weights, parameters: 71 } });
  const error = t.throws(() => decodeArtefact(new TextEncoder().encode(text), weightsBytes), {
    instanceOf: StillhouseError,
  });
  t.is(error?.code, 'DATA_LOSS');
  t.is(error?.field, 'weights.parameters');
});

test('weights that match their digest are still checked as a file', (t) => {
  const { manifest } = encodeArtefact(smallManifest, smallTensors());
  const weightsBytes = encodeSafetensors(smallTensors()).subarray(0, 20);
  const text = JSON.stringify({ ...manifest, weights: { ...manifest.weights, digest: sha256(weightsBytes) } });
  t.throws(() => decodeArtefact(new TextEncoder().encode(text), weightsBytes), {
    instanceOf: StillhouseError,
    message: /weights\.safetensors/,
  });
});

test('several teachers are named beside the first, and one alone as before', (t) => {
  const { lineage } = smallManifest;
  const teachers = [sha256('teacher'), sha256('other')];
  const { manifest, manifestBytes } = encodeArtefact(
    { ...smallManifest, lineage: { ...lineage, teachers } as typeof lineage },
    smallTensors(),
  );
  t.like(parseModelManifest(manifestBytes, 'm/model.json').lineage, { teacher: teachers[0], teachers });
  t.deepEqual(manifest.lineage, { ...lineage, teachers });
});

const refused: [string, object, string][] = [
  ['another version', { formatVersion: 2 }, 'formatVersion'],
  ['an unknown key', { extra: 1 }, ''],
  ['ids that do not name the classes', { classIds: [0, 1] }, 'classIds'],
  ['an id too few', { classIds: [1] }, 'classIds'],
  ['an id that the parent lacks', { classIds: [1, 3] }, 'classIds'],
  ['a class twice', { classIds: [1, 1], classNames: ['beech', 'beech'] }, 'classIds'],
  ['a parent class twice', { parentClassNames: ['ash', 'beech', 'ash'] }, 'parentClassNames'],
  [
    'two means for three channels',
    { preprocessing: { ...smallManifest.preprocessing, mean: [0, 0] } },
    'preprocessing.mean',
  ],
  [
    'a deviation of zero',
    { preprocessing: { ...smallManifest.preprocessing, std: [1, 0, 1] } },
    'preprocessing.std[1]',
  ],
  ['a teacher of a control arm', { lineage: { ...smallManifest.lineage, arm: 'control' } }, 'lineage.teacher'],
  [
    'several teachers without the first',
    { lineage: { ...smallManifest.lineage, teachers: [sha256('a'), sha256('b')] } },
    'lineage.teachers',
  ],
  ['a digest that is none', { lineage: { ...smallManifest.lineage, dataset: 'sha256:12' } }, 'lineage.dataset'],
  ['an unknown arm', { lineage: { ...smallManifest.lineage, arm: 'found' } }, 'lineage.arm'],
  ['a job without its id', { lineage: { ...smallManifest.lineage, job: undefined } }, 'lineage.job'],
  [
    'an imported model with a job',
    { lineage: { arm: 'imported', source: { file: 'w.pth', digest: sha256('w') }, job: 'job-1' } },
    'lineage',
  ],
  [
    'an imported model whose source has no digest',
    { lineage: { arm: 'imported', source: { file: 'w.pth', digest: 'w' } } },
    'lineage.source.digest',
  ],
  ['weights elsewhere', { weights: { file: '../w', digest: sha256(''), parameters: 1 } }, 'weights.file'],
];

for (const [what, change, field] of refused) {
  test(`refused: ${what}`, (t) => {
    const { manifest } = encodeArtefact(smallManifest, smallTensors());
    const bytes = new TextEncoder().encode(JSON.stringify({ ...manifest, ...change }));
    const error = t.throws(() => parseModelManifest(bytes, 'm/model.json'), {
      instanceOf: StillhouseError,
      message: /^m\/model\.json/,
    });
    t.is(error?.code, 'INVALID_ARGUMENT');
    t.is(error?.field, field);
  });
}

test('a folder holds the model and nothing else, and is read back', async (t) => {
  const root = await tempFolder(t);
  const folder = path.join(root, 'models', 'broadleaf');
  const artefact = encodeArtefact(smallManifest, smallTensors());
  await writeArtefactFolder(`${folder}/`, artefact);
  t.deepEqual(await readdir(path.join(root, 'models')), ['broadleaf']);
  t.deepEqual((await readdir(folder)).sort(), ['model.json', 'weights.safetensors']);
  const read = await readArtefactFolder(folder);
  t.is(read.digest, artefact.digest);
  t.deepEqual(read.tensors, decodeArtefact(artefact.manifestBytes, artefact.weightsBytes).tensors);
  t.deepEqual(new Uint8Array(await readFile(path.join(folder, 'model.json'))), artefact.manifestBytes);
});

test('a folder is never overwritten, but writing the same model again is fine', async (t) => {
  const root = await tempFolder(t);
  const folder = path.join(root, 'broadleaf');
  const artefact = encodeArtefact(smallManifest, smallTensors());
  await writeArtefactFolder(folder, artefact);
  await writeArtefactFolder(`${folder}/`, artefact);
  const other = encodeArtefact(smallManifest, smallTensors(2));
  const error = await t.throwsAsync(writeArtefactFolder(folder, other), { instanceOf: StillhouseError });
  t.is(error?.code, 'ALREADY_EXISTS');
  t.is((await readArtefactFolder(folder)).digest, artefact.digest);
  await writeFile(path.join(root, 'file'), 'mine');
  const taken = await t.throwsAsync(writeArtefactFolder(path.join(root, 'file'), other), {
    instanceOf: StillhouseError,
  });
  t.is(taken?.code, 'ALREADY_EXISTS');
  t.is(await readFile(path.join(root, 'file'), 'utf8'), 'mine');
  t.deepEqual((await readdir(root)).sort(), ['broadleaf', 'file']);
});

test('a folder without a model, or with half of one, is not one', async (t) => {
  const root = await tempFolder(t);
  const folder = path.join(root, 'broadleaf');
  const absent = await t.throwsAsync(readArtefactFolder(folder), { instanceOf: StillhouseError, message: /broadleaf/ });
  t.is(absent?.code, 'NOT_FOUND');
  await mkdir(folder);
  await writeArtefactFolder(folder, encodeArtefact(smallManifest, smallTensors()));
  await rm(path.join(folder, 'weights.safetensors'));
  const half = await t.throwsAsync(readArtefactFolder(folder), { instanceOf: StillhouseError });
  t.is(half?.code, 'NOT_FOUND');
  t.regex(half?.message ?? '', /weights\.safetensors/);
});
