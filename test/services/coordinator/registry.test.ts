import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { MemoryKeyValue } from '../../../lib/wire/memory-kv.ts';
import { Registry } from '../../../services/coordinator/registry.ts';

const MODELS = ['left', 'right'].map((name) => ({ name: `demo/${name}`, digest: sha256(name), manifestJson: name }));
const ROUTE = { name: 'demo', rule: 'max-softmax' as const, classNames: ['a', 'b'], legs: [] };

test('a publication that is cancelled writes nothing more', async (t) => {
  const [models, routes] = [new MemoryKeyValue('models'), new MemoryKeyValue('routes')];
  const registry = new Registry(models, routes);
  const controller = new AbortController();
  await models.watch(() => controller.abort(new StillhouseError('CANCELLED', 'the job has ended')));
  const publication = registry.publish('job', MODELS, ROUTE, controller.signal);
  await t.throwsAsync(publication, { message: 'the job has ended' });
  t.deepEqual(await models.keys(), ['demo/left']);
  t.deepEqual(await routes.keys(), []);
  await t.throwsAsync(registry.publish('job', MODELS, ROUTE, AbortSignal.abort(new Error('before'))));
  t.deepEqual(await models.keys(), ['demo/left']);
  t.is(await registry.publish('job', MODELS, ROUTE, new AbortController().signal), 1);
  t.deepEqual(await models.keys(), ['demo/left', 'demo/right']);
});
