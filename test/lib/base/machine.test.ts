import { availableParallelism, totalmem } from 'node:os';
import test from 'ava';
import { availableCores, cpuQuota, memoryLimitBytes, openFileLimit } from '../../../lib/base/machine.ts';

/** The files of a container, by path; all others are not there. */
function files(texts: Readonly<Record<string, string>>) {
  return (file: string) => texts[file];
}

test('control groups, version 2: the tightest limit from the own group up to the root counts', (t) => {
  const group = { '/proc/self/cgroup': '0::/pod/app\n' };
  t.is(cpuQuota(files({ ...group, '/sys/fs/cgroup/pod/app/cpu.max': '150000 100000\n' })), 1.5);
  t.is(
    cpuQuota(
      files({
        ...group,
        '/sys/fs/cgroup/pod/app/cpu.max': 'max 100000\n',
        '/sys/fs/cgroup/pod/cpu.max': '400000 100000\n',
        '/sys/fs/cgroup/cpu.max': '800000 100000\n',
      }),
    ),
    4,
  );
  t.is(cpuQuota(files({ ...group, '/sys/fs/cgroup/pod/app/cpu.max': 'max 100000\n' })), undefined);
});

test('control groups, version 1: only the controller of processors counts', (t) => {
  const group = { '/proc/self/cgroup': '9:name=systemd:/a\n4:memory:/a\n2:cpu,cpuacct:/a\n' };
  const quota = '/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us';
  const period = '/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us';
  t.is(cpuQuota(files({ ...group, [quota]: '50000\n', [period]: '100000\n' })), 0.5);
  t.is(cpuQuota(files({ ...group, [quota]: '-1\n', [period]: '100000\n' })), undefined);
  t.is(cpuQuota(files({})), undefined);
});

test('a process may always keep one processor busy, and never more than there are', (t) => {
  const limited = (quota: string) =>
    availableCores(files({ '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': quota }));
  t.is(limited('50000 100000'), 1);
  t.is(limited('100000000 100000'), availableParallelism());
  t.is(availableCores(files({})), availableParallelism());
  t.true(memoryLimitBytes() > 2 ** 20 && memoryLimitBytes() <= totalmem());
});

test('the limit of open files is the soft one', (t) => {
  const limits = (soft: string) =>
    `Limit  Soft Limit  Hard Limit  Units\nMax open files            ${soft}  4096  files\n`;
  t.is(openFileLimit(files({ '/proc/self/limits': limits('1024') })), 1024);
  t.is(openFileLimit(files({ '/proc/self/limits': limits('unlimited') })), undefined);
  t.is(openFileLimit(files({})), undefined);
});
