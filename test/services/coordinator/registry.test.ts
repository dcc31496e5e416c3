import test, { type ExecutionContext } from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { MemoryKeyValue } from '../../../lib/wire/memory-kv.ts';
import type { RouteRecord } from '../../../lib/wire/records.ts';
import { ROUTE_RULES } from '../../../lib/wire/route-rules.ts';
import { Registry } from '../../../services/coordinator/registry.ts';
import { smallManifest } from '../../helpers/small-model.ts';

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

const CLASS_NAMES = ['a', 'b', 'c'];
const WEIGHTS = { file: 'weights.safetensors', digest: sha256('weights'), parameters: 5 };
const PAIR = { first: ['a', 'b'], second: ['c'] };

/** Two published models over the classes a, b, c, and the route over them. */
async function published(dustbins: { first: boolean; second: boolean }) {
  const registry = new Registry(new MemoryKeyValue('models'), new MemoryKeyValue('routes'));
  const names = ['first', 'second'] as const;
  const models = names.map((name) => {
    const classNames = PAIR[name];
    const dustbin = dustbins[name] ? { dustbin: true } : {};
    const classIds = classNames.map((one) => CLASS_NAMES.indexOf(one));
    const parts = { name: `demo/${name}`, classNames, classIds, parentClassNames: CLASS_NAMES, weights: WEIGHTS };
    const manifestJson = JSON.stringify({ ...smallManifest, ...parts, ...dustbin });
    return { name: `demo/${name}`, digest: sha256(manifestJson), manifestJson };
  });
  const legs = names.map((specialist, at) => ({
    specialist,
    modelDigest: models[at]?.digest as string,
    classIds: PAIR[specialist].map((name) => CLASS_NAMES.indexOf(name)),
    dustbin: dustbins[specialist],
  }));
  const route: RouteRecord = { name: 'demo', rule: 'max-softmax', classNames: CLASS_NAMES, legs };
  await registry.publish('job', models, { ...route, name: 'other' }, new AbortController().signal);
  return { registry, route, legs };
}

test('a route may have every rule that its models allow', async (t) => {
  const { registry, route } = await published({ first: true, second: true });
  let revision = 0;
  for (const rule of ROUTE_RULES) {
    revision = await registry.putRoute({ ...route, rule }, revision);
    t.is((await registry.getRoute('demo')).route.rule, rule);
  }
});

const refused = (t: ExecutionContext, attempt: Promise<unknown>, field: string, message: RegExp) =>
  t.throwsAsync(attempt, { instanceOf: StillhouseError, code: 'INVALID_ARGUMENT', message }).then((error) => {
    t.is(error?.field, field);
  });

test('a leg counts the classes of its model and says whether it has a dustbin', async (t) => {
  const { registry, route, legs } = await published({ first: true, second: false });
  const put = (changes: object) => {
    const [leg, ...others] = legs as [object, ...object[]];
    return registry.putRoute({ ...route, legs: [{ ...leg, ...changes }, ...others] as RouteRecord['legs'] }, 0);
  };
  await refused(t, put({ classIds: [0, 1, 2] }), 'route.legs[0].class_ids', /has 2 classes, there are 3 class ids/);
  await refused(
    t,
    put({ dustbin: false }),
    'route.legs[0].dustbin',
    /the model has a dustbin, expected true, got false/,
  );
  await refused(
    t,
    registry.putRoute({ ...route, legs: legs.map((leg) => ({ ...leg, dustbin: true })) }, 0),
    'route.legs[1].dustbin',
    /the model has no dustbin, expected false, got true/,
  );
  t.true((await put({})) > 0);
});

test('the rule dustbin needs a dustbin of every leg, and legs without common classes', async (t) => {
  const mixed = await published({ first: true, second: false });
  const rule = 'dustbin' as const;
  await refused(
    t,
    mixed.registry.putRoute({ ...mixed.route, rule }, 0),
    'route.rule',
    /dustbin needs models with a dustbin, that of second has none/,
  );
  const { registry, route, legs } = await published({ first: true, second: true });
  const overlapping = legs.map((leg) => (leg.specialist === 'second' ? { ...leg, classIds: [1] } : leg));
  await refused(
    t,
    registry.putRoute({ ...route, rule, legs: overlapping }, 0),
    'route.rule',
    /legs without common classes, first and second share "b"/,
  );
  t.true((await registry.putRoute({ ...route, legs: overlapping }, 0)) > 0, 'other rules do not mind');
  const majority = { ...route, rule: 'majority' as RouteRecord['rule'] };
  await refused(t, registry.putRoute(majority, 1), 'route.rule', /expected one of max-softmax, max-logit, dustbin/);
});
