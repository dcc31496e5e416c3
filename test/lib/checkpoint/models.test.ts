import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { loadModel, storeModel } from '../../../lib/checkpoint/models.ts';
import { createFolderStore, createMemoryStore } from '../../../lib/checkpoint/store.ts';
import { encodeArtefact } from '../../../lib/model/artefact.ts';
import { smallManifest, smallTensors } from '../../helpers/small-model.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

test('a model is found again by its digest', async (t) => {
  const artefact = encodeArtefact(smallManifest, smallTensors());
  for (const store of [createMemoryStore(), createFolderStore(await tempFolder(t))]) {
    const digest = await storeModel(store, artefact);
    t.is(digest, artefact.digest);
    const loaded = await loadModel(store, digest);
    t.deepEqual(loaded.manifest, artefact.manifest);
    t.deepEqual(new Map([...loaded.tensors].sort()), new Map([...smallTensors()].sort()));
    t.is(loaded.digest, digest);
  }
});

test('models that differ in the manifest alone share their weights', async (t) => {
  const store = createMemoryStore();
  const first = encodeArtefact(smallManifest, smallTensors());
  const second = encodeArtefact({ ...smallManifest, name: 'trees/second' }, smallTensors());
  t.is(first.manifest.weights.digest, second.manifest.weights.digest);
  await storeModel(store, first);
  await storeModel(store, second);
  t.is((await loadModel(store, second.digest)).manifest.name, 'trees/second');
  t.is((await loadModel(store, first.digest)).manifest.name, smallManifest.name);
});

test('a model that is missing, or whose weights are, is not found', async (t) => {
  const store = createMemoryStore();
  const artefact = encodeArtefact(smallManifest, smallTensors());
  const absent = await t.throwsAsync(loadModel(store, artefact.digest), { instanceOf: StillhouseError });
  t.is(absent?.code, 'NOT_FOUND');
  await store.put(artefact.manifestBytes);
  const half = await t.throwsAsync(loadModel(store, artefact.digest), { instanceOf: StillhouseError });
  t.is(half?.code, 'NOT_FOUND');
  t.true(half?.message.includes(artefact.manifest.weights.digest));
});

test('an object that is no model is refused', async (t) => {
  const store = createMemoryStore();
  const digest = await store.put(new TextEncoder().encode('{"formatVersion":1}'));
  const error = await t.throwsAsync(loadModel(store, digest), { instanceOf: StillhouseError });
  t.is(error?.code, 'INVALID_ARGUMENT');
});
