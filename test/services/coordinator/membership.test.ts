import test from 'ava';
import type { Heartbeat } from '../../../lib/wire/records.ts';
import { Membership } from '../../../services/coordinator/membership.ts';

function heartbeat(id: string, role: Heartbeat['role'], routes?: Record<string, number>): Heartbeat {
  return { id, role, address: `${id}:1`, activity: 'idle', pid: 1, modelDigests: [], ...(routes ? { routes } : {}) };
}

function table() {
  const clock = { nowMs: 0 };
  const membership = new Membership(() => clock.nowMs);
  const attach = (id: string) => membership.attach({ id, role: 'student', address: '', fingerprint: 'same', pid: 1 });
  const ids = () => membership.cluster().workers.map(({ id }) => id);
  return { clock, membership, attach, ids };
}

test('a worker is there from attaching until it detaches or its heartbeats stop', (t) => {
  const { clock, membership, attach, ids } = table();
  attach('b');
  attach('a');
  t.deepEqual(ids(), ['a', 'b']);
  for (clock.nowMs = 0; clock.nowMs <= 5_000; clock.nowMs += 500) membership.heartbeat(heartbeat('a', 'student'));
  t.deepEqual(ids(), ['a']);
  t.deepEqual(membership.silent(), ['b']);
  membership.heartbeat(heartbeat('b', 'student'));
  t.deepEqual(ids(), ['a', 'b']);
  membership.detach('a');
  t.deepEqual(ids(), ['b']);
});

test('a worker that drains is still there, says so, and has stopped draining when it attaches anew', (t) => {
  const { membership, attach } = table();
  const states = () => membership.cluster().workers.map(({ isDraining }) => isDraining);
  attach('a');
  attach('b');
  membership.heartbeat(heartbeat('a', 'student'));
  membership.drain('a');
  membership.drain('nobody');
  t.deepEqual(states(), [true, false]);
  t.is(membership.members()[0]?.activity, 'drains: idle');
  attach('a');
  t.deepEqual(states(), [false, false]);
});

test('silence of everyone is the bus: nobody is lost by it, and all have time to be heard again', (t) => {
  const { clock, membership, attach, ids } = table();
  attach('a');
  attach('b');
  membership.heartbeat(heartbeat('a', 'student'));
  clock.nowMs = 60_000;
  t.deepEqual(ids(), ['a', 'b']);
  membership.heartbeat(heartbeat('a', 'student'));
  t.deepEqual(ids(), ['a', 'b']);
  clock.nowMs += 2_000;
  membership.heartbeat(heartbeat('b', 'student'));
  t.deepEqual(membership.silent(), []);
});

test('routers and what they have taken over come from heartbeats; the coordinator is no member', (t) => {
  const { clock, membership, attach } = table();
  attach('mute');
  membership.heartbeat(heartbeat('r', 'router', { demo: 3 }));
  membership.heartbeat(heartbeat('c', 'coordinator'));
  t.deepEqual(membership.cluster().routers, [{ id: 'r', address: 'r:1', routes: { demo: 3 } }]);
  t.deepEqual(
    membership.members().map(({ id, activity }) => [id, activity]),
    [
      ['r', 'idle'],
      ['mute', 'no heartbeat'],
    ],
  );
  for (let beats = 0; beats < 6; beats++) {
    clock.nowMs += 1_000;
    membership.heartbeat(heartbeat('other', 'student'));
  }
  t.deepEqual(membership.cluster().routers, []);
});
