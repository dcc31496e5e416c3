import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import test from 'ava';
import { fixedPorts } from '../../cli/cluster/plan.ts';
import { runCli, startCli, until, untilStarted } from '../helpers/cli.ts';
import { realDataRoot } from '../helpers/data-root.ts';
import { findNatsServer } from '../helpers/nats-server.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

test('a nats-server that is not there fails the start', async (t) => {
  const named = await runCli(t, ['up'], { STILLHOUSE_NATS_SERVER: '/does/not/exist' });
  t.is(named.code, 1);
  t.regex(named.err, /STILLHOUSE_NATS_SERVER names \/does\/not\/exist, which is no program/);
  const none = await runCli(t, ['up'], {
    STILLHOUSE_NATS_SERVER: '',
    STILLHOUSE_CACHE: await tempFolder(t),
    PATH: '/nowhere',
  });
  t.is(none.code, 1);
  t.regex(none.err, /there is no nats-server \(run `npm run setup`/);
});

test('a nats-server that ends at once fails the start with its log, and nothing stays', async (t) => {
  const cli = startCli(t, ['up'], { STILLHOUSE_NATS_SERVER: '/bin/false', TMPDIR: await tempFolder(t) });
  const { code, err, out } = await cli.ended;
  t.is(code, 1);
  t.is(out, '');
  const [, log] = /nats-server ended unexpectedly \(exit code 1\).*\(log: (.+)\)\n/.exec(err) ?? [];
  t.true(log !== undefined && existsSync(log), err);
  t.deepEqual(await cli.processes(), []);
});

test('a fixed port in use is named with what it is for, before anything starts', async (t) => {
  const server = createServer();
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
  t.teardown(() => server.close());
  const cases = [
    { base: port, use: 'nats-server' },
    { base: port - 1, use: 'coordinator' },
    { base: port - 21, use: 'student-2' },
  ];
  for (const { base, use } of cases) {
    const args = ['up', '--port-base', String(base)];
    const { code, err } = await runCli(t, args, { STILLHOUSE_NATS_SERVER: '/does/not/exist' });
    t.is(code, 1);
    const [, named, wantedFor] =
      /port (\d+) on 127\.0\.0\.1 is in use; it is wanted for (.+?) \(choose/.exec(err) ?? [];
    // Another program may hold one of the ports before it; then that one is named, with what it is for.
    const size = { students: 2, teachers: 1, specialists: 2, portBase: base };
    const planned = fixedPorts(size, true).find((one) => one.port === Number(named));
    t.is(wantedFor, Number(named) === port ? use : planned?.use, err);
    t.not(wantedFor, undefined, err);
  }
});

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const) {
  test(`${signal} in the middle of the start ends everything and says so`, async (t) => {
    const TMPDIR = await tempFolder(t);
    const cli = startCli(t, ['up'], { STILLHOUSE_NATS_SERVER: findNatsServer(), TMPDIR });
    await untilStarted(cli, (command) => command.includes('nats-keeper'));
    cli.process.kill(signal);
    // npm forwards what the terminal has sent already: the second one is the same one.
    cli.process.kill(signal);
    const result = await cli.ended;
    t.is(result.code, code, result.err);
    t.regex(result.err, /stopped \((Ctrl-C|SIGTERM)\); everything that was started has been ended\n$/);
    t.deepEqual(await cli.processes(), []);
  });
}

test('nothing outlives a command line that is killed', async (t) => {
  const TMPDIR = await tempFolder(t);
  const cli = startCli(t, ['up'], { STILLHOUSE_NATS_SERVER: findNatsServer(), TMPDIR });
  const binary = path.basename(findNatsServer());
  await untilStarted(cli, (command) => command.split(' ')[0]?.endsWith(binary) === true);
  cli.process.kill('SIGKILL');
  await cli.ended;
  await until(async () => (await cli.processes()).length === 0);
  t.pass();
});

test('a run that cannot leave its note ends the cluster that it started', async (t) => {
  const folder = await tempFolder(t);
  await writeFile(path.join(folder, 'file'), '');
  const cli = startCli(t, ['run', 'examples/cifar10-specialists.yaml', '--quick', '--out', path.join(folder, 'out')], {
    STILLHOUSE_NATS_SERVER: findNatsServer(),
    STILLHOUSE_DATA: realDataRoot(),
    STILLHOUSE_CACHE: path.join(folder, 'file', 'cache'),
    TMPDIR: folder,
  });
  const { code, err } = await cli.ended;
  t.is(code, 1);
  t.regex(err, /ENOTDIR/);
  t.deepEqual(await cli.processes(), []);
});
