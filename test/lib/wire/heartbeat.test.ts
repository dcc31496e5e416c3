import test from 'ava';
import { HeartbeatTable, startHeartbeat, watchHeartbeats } from '../../../lib/wire/heartbeat.ts';
import { MemoryBroker } from '../../../lib/wire/memory-bus.ts';
import { decodeHeartbeat, encodeJson, encodeRecord, type Heartbeat } from '../../../lib/wire/records.ts';
import { heartbeatSubject } from '../../../lib/wire/subjects.ts';
import { testLogger } from '../../helpers/logger.ts';

const heartbeat = (id: string, role: Heartbeat['role'] = 'student'): Heartbeat => ({
  id,
  role,
  address: '',
  activity: 'idle',
  pid: 1,
  modelDigests: [],
});

test('the table tells who was heard of lately', (t) => {
  let nowMs = 0;
  const table = new HeartbeatTable(() => nowMs);
  table.record(heartbeat('b'));
  nowMs = 3_000;
  table.record(heartbeat('a'));
  nowMs = 6_000;
  t.deepEqual(
    table.alive(5_000).map(({ heartbeat, ageMs }) => [heartbeat.id, ageMs]),
    [['a', 3_000]],
  );
  t.is(table.get('b')?.ageMs, 6_000);
  table.forget(5_000);
  t.is(table.get('b'), undefined);
  t.is(table.get('a')?.ageMs, 3_000);
});

test('heartbeats go over the bus; malformed ones are dropped', async (t) => {
  const broker = new MemoryBroker();
  const sender = broker.connect();
  const receiver = broker.connect();
  const heard: string[] = [];
  watchHeartbeats(receiver, ({ id }) => heard.push(id), { logger: testLogger(), role: 'router' });
  const hearts = [heartbeat('r', 'router'), heartbeat('s')].map((one) => startHeartbeat(sender, () => one));
  sender.publish(heartbeatSubject('router', 'bad'), encodeJson({ id: 'bad' }));
  hearts[0]?.beat();
  await receiver.flush();
  t.deepEqual(heard, ['r', 'r']);
  for (const heart of hearts) heart.stop();
});

test('a record that is none is refused, saying where and what', (t) => {
  const good = heartbeat('a');
  t.deepEqual(decodeHeartbeat(encodeRecord(good), 'here'), good);
  const decode = (value: unknown) => () => decodeHeartbeat(encodeJson(value), 'here');
  t.throws(decode({ ...good, role: 'king' }), { code: 'DATA_LOSS', message: /^here: role: / });
  t.throws(decode({ ...good, modelDigests: ['abc'] }), { code: 'DATA_LOSS', message: /^here: modelDigests\.0: / });
  t.throws(() => decodeHeartbeat(Uint8Array.of(0xff), 'here'), { code: 'DATA_LOSS', message: 'here is not JSON' });
});

test('ids that would change a subject are refused', (t) => {
  for (const id of ['', 'a.b', '*', '>', 'a b', 'ü']) {
    t.throws(() => heartbeatSubject('student', id), { code: 'INVALID_ARGUMENT' });
  }
  t.is(heartbeatSubject('student', 'a-1_B'), 'still.v1.hb.student.a-1_B');
});
