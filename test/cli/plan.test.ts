import test from 'ava';
import { type ClusterSize, fixedPorts, natsPort, planCluster, threadsOf } from '../../cli/cluster/plan.ts';

const SIZE: ClusterSize = { students: 2, teachers: 1, specialists: 2 };

test('a plan has every process once, named and placed', (t) => {
  const plan = planCluster(SIZE, 4);
  const names = 'coordinator teacher-1 student-1 student-2 specialist-1 specialist-2 router'.split(' ');
  t.deepEqual(
    plan.map(({ name }) => name),
    names,
  );
  const specialist = plan.find(({ name }) => name === 'specialist-1');
  t.is(specialist?.program, 'services/student-worker/main');
  t.deepEqual(specialist?.args, ['--serve']);
  for (const { environment } of plan) t.is(environment.STILLHOUSE_PORT, '0');
  t.is(natsPort(SIZE), -1);
  t.deepEqual(fixedPorts(SIZE, true), []);
});

test('students share the cores, teachers have them all, specialists take one', (t) => {
  t.is(threadsOf('student', SIZE, 8), 4);
  t.is(threadsOf('student', { ...SIZE, students: 3 }, 2), 1);
  t.is(threadsOf('teacher', SIZE, 8), 8);
  t.is(threadsOf('specialist', { ...SIZE, threads: 8 }, 8), 1);
  t.is(threadsOf('student', { ...SIZE, threads: 3 }, 2), 3);
});

test('fixed ports are distinct, at their documented offsets', (t) => {
  const size = { students: 10, teachers: 10, specialists: 10, portBase: 7000 };
  const ports = fixedPorts(size, true);
  t.is(new Set(ports.map(({ port }) => port)).size, ports.length);
  const portOf = (use: string) => ports.find((entry) => entry.use === use)?.port;
  t.is(portOf('nats-server'), 7000);
  t.is(portOf('coordinator'), 7001);
  t.is(portOf('router'), 7002);
  t.is(portOf('router (http)'), 7003);
  t.is(portOf('teacher-1'), 7010);
  t.is(portOf('student-10'), 7029);
  t.is(portOf('specialist-1 (health)'), 7130);
  t.is(portOf('specialist-1 (metrics)'), 7230);
  t.is(fixedPorts(size, false).length, ports.length - 1);
});

test('a port base without room is refused', (t) => {
  const many = { ...SIZE, students: 11, portBase: 7000 };
  t.throws(() => fixedPorts(many, true), { message: /room for 10 workers of a role, got 11/ });
  t.throws(() => fixedPorts({ ...SIZE, portBase: 65_500 }, true), { message: /--port-base 65500 puts/ });
});
