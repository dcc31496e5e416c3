import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import type { Job } from '../../cli/coordinator-client.ts';
import { saveModels } from '../../cli/run-models.ts';
import { sha256 } from '../../lib/base/digest.ts';
import { storeModel } from '../../lib/checkpoint/models.ts';
import { encodeArtefact, readArtefactFolder } from '../../lib/model/artefact.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { connectNats } from '../../lib/wire/nats.ts';
import { testLogger } from '../helpers/logger.ts';
import { startNatsServer } from '../helpers/nats-server.ts';
import { smallManifest, smallTensors } from '../helpers/small-model.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

const SPEC = {
  teachers: [
    { name: 'big' },
    { name: 'zoo', from: { type: 'weights', weights: 'pretrained:zoo' } },
    { name: 'remote', from: { type: 'endpoint' } },
  ],
} as unknown as JobSpec;

test('the teacher and the students of a job become folders, as they were stored', async (t) => {
  const server = await startNatsServer();
  t.teardown(() => server.stop());
  const nats = await connectNats({ servers: server.url, name: 'test', logger: testLogger() });
  t.teardown(() => nats.close());
  const objects = await nats.objects();
  const store = (name: string, seed: number) =>
    storeModel(objects, encodeArtefact({ ...smallManifest, name }, smallTensors(seed)));
  const phase = (kind: string, subject: string, modelDigest: string) => ({ kind, subject, modelDigest });
  const digests = {
    big: await store('trees/big', 1),
    few: await store('trees/few', 2),
    zoo: await store('trees/zoo', 4),
  };
  const phases = [
    phase('PHASE_KIND_TRAIN_TEACHER', 'big', digests.big),
    phase('PHASE_KIND_EVALUATE_TEACHER', 'zoo', digests.zoo),
    phase('PHASE_KIND_EVALUATE_TEACHER', 'remote', sha256('what the server says')),
    phase('PHASE_KIND_DISTIL', 'few', digests.few),
    phase('PHASE_KIND_CONTROL', 'few', await store('trees/few', 3)),
    phase('PHASE_KIND_PUBLISH', 'trees', ''),
  ];
  const folder = path.join(await tempFolder(t), 'models');
  const sizes = await saveModels(objects, { phases } as Job, SPEC, folder);
  t.deepEqual((await readdir(folder)).sort(), ['big', 'few', 'zoo']);
  for (const [name, digest] of Object.entries(digests)) {
    t.is((await readArtefactFolder(path.join(folder, name), digest)).manifest.name, `trees/${name}`);
    t.is(sizes.get(digest), (await stat(path.join(folder, name, 'weights.safetensors'))).size);
  }

  // Another run of the same job: nothing of the earlier one stays.
  await saveModels(objects, { phases: [phase('PHASE_KIND_DISTIL', 'other', digests.few)] } as Job, SPEC, folder);
  t.deepEqual(await readdir(folder), ['other']);

  // A run whose second model is gone: the earlier one stays whole, and nothing half-written is left beside it.
  const lost = [phase('PHASE_KIND_DISTIL', 'few', digests.few), phase('PHASE_KIND_DISTIL', 'gone', sha256('gone'))];
  await t.throwsAsync(saveModels(objects, { phases: lost } as Job, SPEC, folder), { code: 'NOT_FOUND' });
  t.deepEqual(await readdir(folder), ['other']);
  t.is((await readArtefactFolder(path.join(folder, 'other'), digests.few)).manifest.name, 'trees/few');
  t.deepEqual(await readdir(path.dirname(folder)), ['models']);
});
