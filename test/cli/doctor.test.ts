import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { attempt, type Check, checkLines, ok } from '../../cli/doctor/check.ts';
import { engineChecks, oneDnnCheck } from '../../cli/doctor/engine.ts';
import type { EngineOrigin } from '../../cli/doctor/engine-origin.ts';
import { deviceCheck } from '../../cli/doctor/gpu.ts';
import { nodeCheck, processorCheck } from '../../cli/doctor/machine.ts';
import { cacheCheck, datasetChecks, weightsCheck } from '../../cli/doctor/storage.ts';
import { startCli } from '../helpers/cli.ts';
import { realDataRoot } from '../helpers/data-root.ts';
import { startNatsServer } from '../helpers/nats-server.ts';
import { writeSmallDataset } from '../helpers/small-dataset.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

function byName(checks: readonly Check[]): Record<string, Check> {
  return Object.fromEntries(checks.map((check) => [check.name, check]));
}

test('a machine that is set up passes: a step is compiled, equal to eager execution, and timed', async (t) => {
  const nats = await startNatsServer();
  t.teardown(() => nats.stop());
  const environment = {
    STILLHOUSE_THREADS: '1',
    STILLHOUSE_DEVICE: 'cpu',
    STILLHOUSE_DATA: realDataRoot(),
    NATS_URL: nats.url,
  };
  const cli = startCli(t, ['doctor', '--json', '--no-speed-test'], environment);
  const { code, out, err } = await cli.ended;
  t.is(code, 0, `${out}${err}`);
  const answer = JSON.parse(out) as { ok: boolean; checks: Check[] };
  t.true(answer.ok);
  const found = byName(answer.checks);
  const patterns: Record<string, RegExp> = {
    Stillhouse: /^\d+\.\d+\.\d+$/,
    Node: new RegExp(`^${process.versions.node}, needs \\^20`),
    threads: /^1 per operation \(STILLHOUSE_THREADS\), 1 operation at a time$/,
    engine: /^TensorFlow 2\.\d+\.\d+ (from its wheel|by the installer of tfjs-node-gpu|built before)/,
    fingerprint: /^tensorflow-2\.[0-9.]+\/cpu\/.*\/threads-1/,
    step: /^compiled, equal to eager execution; process ready in /,
    speed:
      /^simple-cnn at 32x32: training [\d.]+ steps\/s, [\d,]+ images\/s \(micro-batch 64\); prediction [\d,]+ images\/s$/,
    device: /^CPU/,
    'data set cifar10': /^60,000 images, 10 classes, [0-9a-f]{12}$/,
    NATS_URL: /^a server answers$/,
  };
  for (const [name, pattern] of Object.entries(patterns)) t.regex(found[name]?.detail ?? 'missing', pattern, name);
  t.deepEqual(await cli.processes(), []);
});

test('a broken machine is told what is wrong, line by line, with exit code 1', async (t) => {
  const folder = await tempFolder(t);
  const cache = path.join(folder, 'cache');
  await writeFile(cache, 'a file, not a folder');
  const cli = startCli(t, ['doctor', '--no-speed-test'], {
    STILLHOUSE_CACHE: cache,
    STILLHOUSE_DATA: '',
    STILLHOUSE_NATS_SERVER: '/does/not/exist',
    NATS_URL: '',
    STILLHOUSE_COORDINATOR: '127.0.0.1:1',
    // No GPU is to be seen, on machines that have one too.
    CUDA_VISIBLE_DEVICES: '-1',
    STILLHOUSE_DEVICE: 'gpu',
    STILLHOUSE_THREADS: '1',
  });
  const { code, out, err } = await cli.ended;
  t.is(code, 1);
  t.is(err, '');
  const lines = [
    /^ok {4}Node /m,
    /^fail {2}cache +\S+ is not a folder \(set STILLHOUSE_CACHE to one\)$/m,
    /^fail {2}engine +STILLHOUSE_DEVICE is gpu, but TensorFlow has found no GPU \(`stillhouse doctor` says why/m,
    /^warn {2}device /m,
    /^fail {2}nats-server +STILLHOUSE_NATS_SERVER names \/does\/not\/exist, which is no program \(unset it/m,
    /^fail {2}coordinator +127\.0\.0\.1:1 does not answer: /m,
    /^warn {2}data set +none in .*npm run setup/m,
  ];
  for (const line of lines) t.regex(out, line);
  t.deepEqual(await cli.processes(), []);
});

test('a check that throws or hangs is a failed check, and the others go on', async (t) => {
  const thrown = await attempt('a', 1_000, () => {
    throw new TypeError('broken');
  });
  t.like(thrown[0], { name: 'a', status: 'fail', detail: 'broken' });
  t.regex(thrown[0]?.hint ?? '', /report it/, 'every finding says what to do');
  const late = await attempt('b', 20, () => new Promise<Check>(() => undefined), 'wait');
  t.deepEqual(late, [{ name: 'b', status: 'fail', detail: 'no answer within 0.02 s', hint: 'wait' }]);
  t.deepEqual(checkLines([ok('long name', 'fine'), ...late]), [
    'ok    long name  fine',
    'fail  b          no answer within 0.02 s (wait)',
  ]);
});

test('Node and the processor are judged by what TensorFlow and its binding need', (t) => {
  const range = '^20.19.0 || ^22.20.0';
  for (const version of ['20.19.0', '20.20.2', '22.20.0', '22.21.0']) t.is(nodeCheck(version, range).status, 'ok');
  for (const version of ['18.20.0', '20.18.9', '22.19.9', '23.1.0']) t.is(nodeCheck(version, range).status, 'fail');
  const xeon = processorCheck('Xeon', 'x64', 'flags\t\t: fpu avx fma avx2 avx512f avx512_vnni amx_bf16\n');
  t.deepEqual(xeon, ok('processor', 'Xeon, x64: AVX, AVX2, FMA, AVX-512, AVX512_VNNI, AMX_BF16'));
  t.is(processorCheck('Old', 'x64', 'flags : fpu avx\n').status, 'warn');
  t.is(processorCheck('Older', 'x64', 'flags : fpu sse2\n').status, 'fail');
  t.is(
    processorCheck('Graviton', 'arm64', 'Features : fp asimd sve bf16\n').detail,
    'Graviton, arm64: NEON, SVE, BF16',
  );
});

const REPORT = {
  fingerprint: 'tensorflow-2.21.0/gpu-nvidia-h200/x64-0f498558/threads-8',
  loadedMs: 2_000,
  compiledMs: 3_000,
  eagerReason: null,
  architecture: 'simple-cnn',
  microBatch: 64,
  stepMs: 4,
  predictBatch: 256,
  predictMs: 8,
  residentBytes: 2 ** 30,
  library: null,
};

test('the device is told by what TensorFlow logged about GPUs', (t) => {
  const created =
    'I0000 00:00:17 1 gpu_device.cc:2019] Created device /job:localhost/replica:0/task:0/device:GPU:0 with 138297 MB memory:  -> device: 0, name: NVIDIA H200, pci bus id: 0000:1b:00.0, compute capability: 9.0';
  const facts = { driverVersion: '550.54.15', models: ['NVIDIA H200'] };
  const inUse = deviceCheck(facts, { report: REPORT, log: created }, {});
  t.deepEqual(
    inUse,
    ok('device', 'GPU NVIDIA H200, 138297 MB, compute capability 9.0; NVIDIA driver 550.54.15, NVIDIA H200'),
  );
  const report = { ...REPORT, fingerprint: 'tensorflow-2.21.0/cpu/x64-0f498558/threads-8' };
  const log =
    'W0000 00:00:17 1 gpu_device.cc:2365] Cannot dlopen some GPU libraries. Skipping registering GPU devices...';
  t.regex(deviceCheck(facts, { report, log }, {}).hint ?? '', /CPU build: .*STILLHOUSE_GPU=on npm run setup/);
  t.is(deviceCheck(facts, { report, log }, { STILLHOUSE_DEVICE: 'cpu' }).status, 'ok');
  const without = deviceCheck({ driverVersion: null, models: [] }, { report, log: '' }, {});
  t.deepEqual(without, ok('device', 'CPU; no NVIDIA driver on this machine'));
  const broken = deviceCheck(facts, { failure: 'no', log }, {});
  t.regex(broken.detail, /TensorFlow says: Cannot dlopen some GPU libraries/);
});

const BY_WHEEL: EngineOrigin = { source: 'wheel', attempts: [] };

test('an engine that crashed, runs eagerly or lacks oneDNN is told as such', (t) => {
  const crashed = engineChecks({ failure: 'loading TensorFlow ended by SIGILL', log: '' }, BY_WHEEL);
  t.deepEqual(
    crashed.map(({ status, hint }) => [status, hint]),
    [['fail', 'this processor lacks instructions that TensorFlow needs']],
  );
  const eager = byName(
    engineChecks({ report: { ...REPORT, eagerReason: 'a value was read back' }, log: '' }, BY_WHEEL),
  );
  t.is(eager.step?.status, 'fail');
  t.regex(eager.step?.detail ?? '', /^not compiled: a value was read back; process ready in 3\.0 s/);
  t.is(
    eager.speed?.detail,
    'simple-cnn at 32x32: training 250 steps/s, 16,000 images/s (micro-batch 64); prediction 32,000 images/s',
  );
  t.is(oneDnnCheck({ report: REPORT, log: '' })[0]?.status, 'warn');
});

test('plain TensorFlow.js is a warning that says why it runs and what to install; it lacks nothing else', (t) => {
  const report = {
    ...REPORT,
    fingerprint: 'tensorflowjs-4.22.0/plain-cpu/v8-12.4',
    eagerReason: 'plain TensorFlow.js has no graphs',
    stepMs: 2_000,
  };
  const attempts = [
    { way: "TensorFlow's wheel", problem: 'g++ is missing', hint: 'install it' },
    { way: 'the installer of tfjs-node-gpu', problem: 'it failed' },
  ];
  const found = byName(engineChecks({ report, log: '' }, { source: null, attempts }));
  t.is(found.engine?.status, 'warn');
  t.regex(found.engine?.detail ?? '', /^plain TensorFlow\.js 4\.22\.0, orders of magnitude slower/);
  t.regex(
    found.engine?.detail ?? '',
    /not by TensorFlow's wheel: g\+\+ is missing; not by the installer.*: it failed$/,
  );
  t.is(found.engine?.hint, 'install it');
  t.is(found.step?.status, 'ok');
  t.regex(found.speed?.detail ?? '', /training 0\.50 steps\/s/);
  t.deepEqual(oneDnnCheck({ report, log: '' }), []);
});

test('data sets and weights are listed; a damaged data set fails by name', async (t) => {
  const folder = await tempFolder(t);
  const environment = { STILLHOUSE_CACHE: folder };
  await writeSmallDataset(path.join(folder, 'data'), 'trees');
  await mkdir(path.join(folder, 'data', 'no-data-set'));
  await mkdir(path.join(folder, 'data', 'shrubs'));
  await writeFile(path.join(folder, 'data', 'shrubs', 'manifest.json'), '{');
  const found = byName(await datasetChecks(environment));
  t.deepEqual(Object.keys(found), ['data set shrubs', 'data set trees']);
  t.is(found['data set trees']?.status, 'ok');
  t.is(found['data set shrubs']?.status, 'fail');
  t.is((await weightsCheck(environment)).detail, 'no pretrained weights in the cache');
  await mkdir(path.join(folder, 'weights', 'some-net'), { recursive: true });
  await writeFile(path.join(folder, 'weights', 'some-net', 'weights.safetensors'), new Uint8Array(2_500_000));
  t.is((await weightsCheck(environment)).detail, 'some-net (2.5 MB)');
  t.regex((await cacheCheck(environment)).detail, / GB free on its disk$/);
  t.is((await cacheCheck({ STILLHOUSE_CACHE: path.join(folder, 'none') })).status, 'fail');
});
