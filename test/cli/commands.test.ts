import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { type CliResult, runCli } from '../helpers/cli.ts';
import { runClis } from '../helpers/cli-batch.ts';
import { SMALL_CLASS_NAMES, writeSmallDataset } from '../helpers/small-dataset.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

test('every command has help with an example', async (t) => {
  const seen: string[] = [];
  let commands: string[][] = [[]];
  while (commands.length > 0) {
    const helps = await runClis(commands.map((command) => [...command, '--help']));
    const below: string[][] = [];
    for (const [index, command] of commands.entries()) {
      const { code, out: help } = helps[index] as CliResult;
      seen.push(command.join(' '));
      t.is(code, 0, command.join(' '));
      t.regex(help, /Examples?:\n {2}\$ stillhouse /, command.join(' '));
      const list = /\nCommands:\n((?: .*\n)+)/.exec(help)?.[1] ?? '';
      const names = [...list.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name as string);
      below.push(...names.filter((name) => name !== 'help').map((name) => [...command, name]));
    }
    commands = below;
  }
  for (const known of [
    'up',
    'run',
    'doctor',
    'job watch',
    'models get',
    'route list',
    'cluster',
    'weights export',
    'dataset push',
  ]) {
    t.true(seen.includes(known), `${known} in ${seen}`);
  }
});

test('wrong usage is exit code 2 with the reason', async (t) => {
  const cases = [
    { args: ['upp'], err: /unknown command 'upp'/ },
    { args: ['up', '--students', '0'], err: /--students.*whole number from 1/ },
    { args: ['up', '--students', '1e1'], err: /--students.*whole number from 1/ },
    { args: ['up', '--port-base', '80'], err: /--port-base.*whole number from 1024/ },
    { args: ['run'], err: /missing required argument 'file'/ },
    { args: ['job', 'get', 'a', 'b'], err: /too many arguments/ },
  ];
  const results = await runClis(cases.map(({ args }) => args));
  for (const [index, { args, err }] of cases.entries()) {
    const result = results[index] as CliResult;
    t.is(result.code, 2, args.join(' '));
    t.regex(result.err, err);
    t.is(result.out, '');
  }
});

test('commands for a running cluster say when there is none', async (t) => {
  const STILLHOUSE_CACHE = await tempFolder(t);
  const commands = [
    ['job', 'list'],
    ['models', 'list'],
    ['models', 'get', 'x', '--out', 'x'],
    ['route', 'get', 'x'],
    ['cluster', '--json'],
    ['predict', 'cat.png', '--route', 'x'],
  ];
  for (const { code, err } of await runClis(commands, { STILLHOUSE_CACHE })) {
    t.is(code, 1);
    t.regex(err, /no local cluster is running \(start one with `npx stillhouse up`/);
  }
});

test('a broken note of a local cluster is as good as none', async (t) => {
  const STILLHOUSE_CACHE = await tempFolder(t);
  for (const text of ['', '{"pid":', '{"pid": "one"}']) {
    await writeFile(path.join(STILLHOUSE_CACHE, 'local-cluster.json'), text);
    const [result] = await runClis([['job', 'list']], { STILLHOUSE_CACHE });
    t.is(result?.code, 1);
    t.regex(result?.err ?? '', /^stillhouse: no local cluster is running/);
  }
});

test('a coordinator that is not there is one clear line', async (t) => {
  const { code, err } = await runCli(t, ['job', 'list', '--coordinator', '127.0.0.1:1']);
  t.is(code, 1);
  t.regex(err, /^stillhouse: .*127\.0\.0\.1:1.*\n$/);
});

const JOB = `apiVersion: stillhouse/v1
kind: Job
name: tiny
data:
  dataset: trees
teachers:
  - {name: big, arch: resnet-8}
students:
  - name: few
    arch: simple-cnn
    classes: [${SMALL_CLASS_NAMES.slice(0, 2).join(', ')}]
`;

test('run refuses before anything starts, with the path in the file', async (t) => {
  const folder = await tempFolder(t);
  await writeSmallDataset(folder, 'trees');
  const file = path.join(folder, 'job.yaml');
  const cases = [
    {
      text: `${JOB}train: {lanes: four}\n`,
      err: /train\.lanes: expected a whole number.*got "four" \(job\.yaml line 12\)/,
    },
    { text: JOB.replace('resnet-8', 'resnet8'), err: /teachers\[0\]\.arch: .*"resnet8" \(did you mean "resnet-8"\?\)/ },
    { text: JOB.replace('ash', 'oak'), err: /students\[0\]\.classes\[0\]: .*got "oak".*line 11/ },
    { text: JOB.replace('trees', 'shrubs'), err: /data\.dataset: .*shrubs.*\(job\.yaml line 5\).*npm run setup/ },
    { text: JOB, set: 'data.train=1000', err: /data\.train.* asks for 1000.*--set data\.train=1000/ },
    {
      text: JOB.replace('ash, beech', 'ash, elm'),
      set: 'data.test=1',
      err: /data\.test: no image of it has a class of/,
    },
    {
      text: JOB,
      set: 'evaluate.routeImages=7',
      err: /evaluate\.routeImages: expected at most 6, .*, got 7 \(from --set /,
    },
    { text: JOB, set: 'averaging.chunkKiB=1024', err: /averaging\.chunkKiB: expected a whole number from 1 to 1023/ },
    { text: JOB, set: 'publish.rule=best', err: /publish\.rule: best is chosen on the calibrate split.*--set publish/ },
    { text: JOB, set: 'averaging.workers=3', students: '2', err: /averaging\.workers: the job wants 3/ },
    {
      text: JOB,
      set: 'students[0].init=other/one',
      err: /students\[0\]\.init: a run starts a cluster of its own.*job submit/,
    },
  ];
  for (const { text, set, students, err } of cases) {
    await writeFile(file, text);
    const extra = [
      ...(set === undefined ? [] : ['--set', set]),
      ...(students === undefined ? [] : ['--students', students]),
    ];
    const [result] = await runClis([['run', file, '--out', path.join(folder, 'out'), ...extra]], {
      STILLHOUSE_DATA: folder,
      STILLHOUSE_NATS_SERVER: '/does/not/exist',
      NATS_URL: '',
    });
    t.is(result?.code, 1, result?.err);
    t.regex(result?.err ?? '', err);
    t.is(result?.out, '');
  }
});

test('run leaves a folder alone that is no run’s, before anything starts', async (t) => {
  const folder = await tempFolder(t);
  await writeSmallDataset(folder, 'trees');
  await writeFile(path.join(folder, 'job.yaml'), JOB);
  const { code, out, err } = await runCli(t, ['run', path.join(folder, 'job.yaml'), '--out', folder], {
    STILLHOUSE_DATA: folder,
    STILLHOUSE_NATS_SERVER: '/does/not/exist',
  });
  t.deepEqual([code, out], [1, '']);
  t.regex(err, /^stillhouse: .* is not empty and not the folder of a run: .* \(choose another folder with --out\)\n$/);
  t.is(await readFile(path.join(folder, 'job.yaml'), 'utf8'), JOB);
});

test('a job file that is not there is named', async (t) => {
  const { code, err } = await runCli(t, ['run', 'nowhere/job.yaml']);
  t.is(code, 1);
  t.regex(err, /cannot read the job file nowhere\/job\.yaml: there is no such file/);
});

test('a reader that has gone, as in `stillhouse … | head`, is no crash', async (t) => {
  const source = `const { main } = await import('./cli/main.ts'); process.exitCode = await main(['architectures']);`;
  const child = spawn(process.execPath, ['--import=tsx', '--input-type=module', '-e', source]);
  child.stdout.destroy();
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const [code] = await once(child, 'close');
  t.is(code, 0, err);
  t.notRegex(err, /EPIPE/);
});
