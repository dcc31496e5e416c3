import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { encodeJson, encodeRecord, type Heartbeat, type RouteRecord } from '../../../lib/wire/records.ts';
import { Presence } from '../../../services/router/presence.ts';
import { chooseReplica } from '../../../services/router/replica-choice.ts';
import { parseRoute, rulesOf } from '../../../services/router/route-record.ts';
import {
  EMPTY_TABLE,
  findRoute,
  type RouteEvent,
  readyRoutes,
  replicasOf,
  step,
} from '../../../services/router/route-table.ts';

const digest = (model: string) => sha256(model);

function route(name: string, ...models: string[]): RouteRecord {
  const legs = models.map((model, index) => ({
    specialist: `s${index}`,
    modelDigest: digest(model),
    classIds: [index],
    dustbin: false,
  }));
  return { name, rule: 'max-softmax', classNames: models, legs };
}

function put(revision: number, record: RouteRecord): RouteEvent {
  return { kind: 'route-put', record, revision };
}

/** `{ a: ['x', 'y'] }`: specialist a has the models x and y. */
function alive(models: Record<string, string[]>): RouteEvent {
  const specialists = Object.entries(models).map(([id, names]) => ({
    id,
    address: `${id}:1`,
    modelDigests: names.map(digest),
  }));
  return { kind: 'specialists', specialists };
}

function after(...events: RouteEvent[]) {
  return events.reduce(step, EMPTY_TABLE);
}

test('what is served after which events', (t) => {
  const cases: [string, RouteEvent[], Record<string, number>][] = [
    ['nothing', [], {}],
    ['a route without specialists', [put(1, route('r', 'x'))], {}],
    ['a route, then its specialist', [put(1, route('r', 'x')), alive({ a: ['x'] })], { r: 1 }],
    ['the specialist first', [alive({ a: ['x'] }), put(1, route('r', 'x'))], { r: 1 }],
    ['one leg of two', [alive({ a: ['x'] }), put(1, route('r', 'x', 'y'))], {}],
    ['two legs on one specialist', [alive({ a: ['x', 'y'] }), put(1, route('r', 'x', 'y'))], { r: 1 }],
    ['two legs on two', [alive({ a: ['x'], b: ['y'] }), put(1, route('r', 'x', 'y'))], { r: 1 }],
    ['a new revision waits', [alive({ a: ['x'] }), put(1, route('r', 'x')), put(2, route('r', 'y'))], { r: 1 }],
    [
      'a new revision is taken over when its leg comes, and kept when the old model goes',
      [
        alive({ a: ['x'] }),
        put(1, route('r', 'x')),
        put(2, route('r', 'y')),
        alive({ a: ['x', 'y'] }),
        alive({ a: ['y'] }),
      ],
      { r: 2 },
    ],
    [
      'the newest of several that can be served',
      [put(1, route('r', 'x')), put(2, route('r', 'y')), put(3, route('r', 'z')), alive({ a: ['x', 'y'] })],
      { r: 2 },
    ],
    [
      'never back to an older revision',
      [alive({ a: ['x', 'y'] }), put(1, route('r', 'x')), put(2, route('r', 'y')), alive({ a: ['x'] })],
      {},
    ],
    ['its specialist is gone', [alive({ a: ['x'] }), put(1, route('r', 'x')), alive({})], {}],
    ['and back', [alive({ a: ['x'] }), put(1, route('r', 'x')), alive({}), alive({ b: ['x'] })], { r: 1 }],
    [
      'a repeated entry',
      [alive({ a: ['x'] }), put(2, route('r', 'x')), put(1, route('r', 'y')), put(2, route('r', 'x'))],
      { r: 2 },
    ],
    ['deleted', [alive({ a: ['x'] }), put(1, route('r', 'x')), { kind: 'route-deleted', name: 'r' }], {}],
    [
      'routes do not wait for each other',
      [alive({ a: ['x'] }), put(1, route('r', 'x')), put(2, route('q', 'y'))],
      { r: 1 },
    ],
  ];
  for (const [title, events, expected] of cases) t.deepEqual(readyRoutes(after(...events)), expected, title);
});

test('unknown and not ready are told apart, with the legs that are missing', (t) => {
  const table = after(alive({ a: ['x'] }), put(1, route('r', 'x', 'y')));
  t.deepEqual(findRoute(table, 'other'), { kind: 'unknown' });
  const finding = findRoute(table, 'r');
  t.is(finding.kind, 'not-ready');
  t.deepEqual(finding.kind === 'not-ready' && finding.missing.map(({ specialist }) => specialist), ['s1']);
});

test('all specialists with the model are replicas of a leg', (t) => {
  const { specialists } = after(alive({ a: ['x'], b: ['y'], c: ['y', 'x'] }));
  const [leg] = route('r', 'x').legs;
  t.deepEqual(
    replicasOf(leg as RouteRecord['legs'][number], specialists).map(({ id }) => id),
    ['a', 'c'],
  );
});

test('the replica with the fewest requests is asked; equals take turns', (t) => {
  const replicas = ['a', 'b', 'c'].map((address) => ({ address }));
  const load = new Map([
    ['a', 2],
    ['b', 1],
    ['c', 1],
  ]);
  const turns = [0, 1, 2, 3].map((turn) => chooseReplica(replicas, load, turn)?.address);
  t.deepEqual(turns, ['b', 'c', 'b', 'c']);
  t.is(chooseReplica(replicas, load, 0, new Set(['b', 'c']))?.address, 'a');
  t.is(chooseReplica(replicas, load, 0, new Set(['a', 'b', 'c'])), undefined);
});

test('a record that contradicts itself is refused', (t) => {
  const good = route('r', 'x', 'y');
  t.deepEqual(parseRoute(encodeRecord(good), 'here'), good);
  const stray = { ...good, classNames: ['x'] };
  t.throws(() => parseRoute(encodeRecord(stray), 'here'), { message: /here: specialist "s1" has a class beyond/ });
  const twins = { ...good, legs: good.legs.map((leg) => ({ ...leg, specialist: 's' })) };
  t.throws(() => parseRoute(encodeRecord(twins), 'here'), { message: /two legs have the same specialist/ });
});

test('the rule dustbin wants a dustbin in every leg, and every class once', (t) => {
  const plain = route('r', 'x', 'y');
  const [first, second] = plain.legs as [RouteRecord['legs'][number], RouteRecord['legs'][number]];
  const withLegs = (...legs: RouteRecord['legs']): RouteRecord => ({ ...plain, rule: 'dustbin', legs });
  const good = withLegs({ ...first, dustbin: true }, { ...second, dustbin: true });
  t.deepEqual(parseRoute(encodeRecord(good), 'here'), good);
  t.deepEqual(rulesOf(good), ['max-softmax', 'max-logit', 'dustbin']);
  const cases: [RouteRecord, RegExp][] = [
    [withLegs({ ...first, dustbin: true }, second), /^here: rule dustbin: specialist "s1" has no dustbin$/],
    [
      withLegs({ ...first, dustbin: true }, { ...second, dustbin: true, classIds: [1, 0] }),
      /^here: rule dustbin: class "x" is answered twice$/,
    ],
    [withLegs({ ...first, dustbin: true, classIds: [1, 1] }), /^here: rule dustbin: class "y" is answered twice$/],
  ];
  for (const [record, message] of cases) {
    t.throws(() => parseRoute(encodeRecord(record), 'here'), { message, code: 'DATA_LOSS' });
    t.deepEqual(rulesOf(record), ['max-softmax', 'max-logit']);
    const byLogit: RouteRecord = { ...record, rule: 'max-logit' };
    t.deepEqual(parseRoute(encodeRecord(byLogit), 'here'), byLogit);
  }
});

test('a record from before there were dustbins has none', (t) => {
  const good = route('r', 'x');
  const legs = good.legs.map(({ dustbin: _, ...leg }) => leg);
  t.deepEqual(parseRoute(encodeJson({ ...good, legs }), 'here'), good);
});

function heartbeat(id: string, address = `${id}:1`): Heartbeat {
  return { id, role: 'specialist', address, activity: '', pid: 1, modelDigests: [digest('x')] };
}

test('a silent specialist is dropped, but not while the broker is silent itself', (t) => {
  let nowMs = 0;
  const presence = new Presence(() => nowMs);
  const ids = () => presence.alive().map(({ address }) => address);
  presence.record(heartbeat('a'));
  presence.record(heartbeat('b'));
  t.deepEqual(ids(), ['a:1', 'b:1']);
  nowMs = 4_000;
  presence.record(heartbeat('b', 'b:2'));
  nowMs = 5_001;
  t.deepEqual(ids(), ['b:2'], 'a has been silent for longer than five seconds');
  presence.connectionLost();
  nowMs = 60_000;
  t.deepEqual(ids(), ['b:2'], 'nothing can be heard');
  presence.connectionRestored();
  presence.record(heartbeat('c'));
  nowMs = 64_000;
  t.deepEqual(ids(), ['b:2', 'c:1'], 'time to be heard again');
  nowMs = 65_001;
  t.deepEqual(ids(), [], 'b never was, c has been silent since');
});
