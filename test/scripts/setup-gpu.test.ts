import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { tempFolder } from '../helpers/temp-folder.ts';

async function part<T>(name: string): Promise<T> {
  return (await import(new URL(`../../scripts/setup/${name}.mjs`, import.meta.url).href)) as T;
}

interface Wheel {
  readonly component: string;
  readonly requirement: string;
  readonly sha256: string;
  readonly pipPlatform: string;
  readonly bytes: number;
  readonly keptBytes: number;
  readonly parts: readonly string[];
}

interface Driver {
  readonly version: string | undefined;
  readonly library: string | undefined;
}

interface Gpu {
  findNvidiaDriver(options: { env: object; root: string }): Driver | undefined;
  chooseGpu(facts: { mode?: string; machine: string; driver: Driver | undefined }): { gpu: boolean; reason: string };
}

test('an NVIDIA driver is found by its kernel module or its library', async (t) => {
  const { findNvidiaDriver } = await part<Gpu>('gpu');
  const root = await tempFolder(t);
  t.is(findNvidiaDriver({ env: {}, root }), undefined);
  const put = (file: string, text: string) => {
    mkdirSync(path.join(root, path.dirname(file)), { recursive: true });
    writeFileSync(path.join(root, file), text);
  };
  put('/opt/driver/libcuda.so.1', '');
  const env = { LD_LIBRARY_PATH: '/nowhere:/opt/driver' };
  const library = path.join(root, '/opt/driver/libcuda.so.1');
  t.deepEqual(findNvidiaDriver({ env, root }), { version: undefined, library });
  const lines = [
    'NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024',
    'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build  (dvs-builder@U16)',
  ];
  for (const line of lines) {
    put('/proc/driver/nvidia/version', `${line}\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n`);
    t.is(findNvidiaDriver({ env: {}, root })?.version, '550.54.15', line);
  }
});

test('STILLHOUSE_GPU decides; in auto the driver does', async (t) => {
  const { chooseGpu } = await part<Gpu>('gpu');
  const machine = 'linux-x64';
  const driver = { version: '550.54.15', library: undefined };
  t.deepEqual(chooseGpu({ machine, driver }), { gpu: true, reason: 'NVIDIA driver 550.54.15 found' });
  t.true(chooseGpu({ mode: 'on', machine, driver: undefined }).gpu);
  t.true(chooseGpu({ mode: '', machine, driver: { version: undefined, library: '/usr/lib/libcuda.so.1' } }).gpu);
  t.false(chooseGpu({ mode: 'off', machine, driver }).gpu);
  t.regex(chooseGpu({ machine, driver: undefined }).reason, /no NVIDIA driver/);
  t.regex(chooseGpu({ machine, driver: { ...driver, version: '470.57.02' } }).reason, /470\.57\.02 is older than 525/);
  t.regex(chooseGpu({ machine: 'linux-arm64', driver }).reason, /no GPU build for linux-arm64/);
  t.throws(() => chooseGpu({ mode: 'on', machine: 'linux-arm64', driver }), { message: /no GPU build.*linux-arm64/ });
  t.throws(() => chooseGpu({ mode: 'yes', machine, driver }), {
    message: /STILLHOUSE_GPU is "yes", expected one of on/,
  });
});

test('the GPU build lies apart from the CPU build, so that both may be there', async (t) => {
  type Tensorflow = {
    tensorflowFolder(cache: string, wheel: object): string;
    tensorflowWheel(machine: object): { wheel?: { requirement: string; gpu: boolean }; reason?: string };
  };
  const { tensorflowFolder, tensorflowWheel } = await part<Tensorflow>('tensorflow');
  const machine = { platform: 'linux', arch: 'x64', glibc: '2.36' };
  t.like(tensorflowWheel({ ...machine, gpu: true }).wheel, { requirement: 'tensorflow==2.21.0', gpu: true });
  t.like(tensorflowWheel(machine).wheel, { requirement: 'tensorflow-cpu==2.21.0', gpu: false });
  t.regex(tensorflowWheel({ ...machine, arch: 'arm64', gpu: true }).reason ?? '', /no TensorFlow wheel/);
  const [gpu, cpu] = [true, false].map((gpu) => tensorflowFolder('/cache', { gpu }));
  t.regex(gpu ?? '', /\/cache\/tensorflow\/2\.21\.0-[\w-]+-gpu\/tensorflow$/);
  t.false(gpu?.startsWith(`${cpu}/`));
});

/** `Requires-Dist: nvidia-…-cu12<…,>=…; extra == "and-cuda"` of the METADATA of tensorflow 2.21.0: lowest and below. */
const AND_CUDA: Readonly<Record<string, readonly [string, string]>> = {
  cublas: ['12.5.3.2', '13.0'],
  'cuda-cupti': ['12.5.82', '13.0'],
  'cuda-nvcc': ['12.5.82', '13.0'],
  'cuda-nvrtc': ['12.5.82', '13.0'],
  'cuda-runtime': ['12.5.82', '13.0'],
  cudnn: ['9.3.0.75', '10.0'],
  cufft: ['11.2.3.61', '12.0'],
  curand: ['10.3.6.82', '11.0'],
  cusolver: ['11.6.3.83', '12.0'],
  cusparse: ['12.5.1.3', '13.0'],
  nccl: ['2.27.7', '3.0'],
  nvjitlink: ['12.5.82', '13.0'],
};

function compare(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number)) as [number[], number[]];
  const index = left.findIndex((part, i) => part !== (right[i] ?? 0));
  return index === -1 ? 0 : (left[index] as number) - (right[index] ?? 0);
}

test('every package that TensorFlow asks for on GPUs is pinned, in a version that it allows', async (t) => {
  const { CUDA_WHEELS } = await part<{ CUDA_WHEELS: readonly Wheel[] }>('pins');
  t.deepEqual(
    CUDA_WHEELS.map(({ requirement }) => /^nvidia-(.*)-cu12==/.exec(requirement)?.[1]).sort(),
    Object.keys(AND_CUDA).sort(),
  );
  for (const { requirement, sha256, bytes, keptBytes } of CUDA_WHEELS) {
    const [, name = '', version = ''] = /^nvidia-(.*)-cu12==([\d.]+)$/.exec(requirement) ?? [];
    const [lowest, below] = AND_CUDA[name] as [string, string];
    t.true(compare(version, lowest) >= 0 && compare(version, below) < 0, requirement);
    t.regex(sha256, /^[0-9a-f]{64}$/);
    t.true(keptBytes > bytes, requirement);
  }
  t.is(new Set(CUDA_WHEELS.map(({ sha256 }) => sha256)).size, CUDA_WHEELS.length);
});

/** A wheel as pip takes it, with these files, in `folder`. */
function makeWheel(folder: string, component: string, files: Readonly<Record<string, number>>): Wheel {
  const name = `stillhouse_test_${component}`;
  const wheelPath = path.join(folder, `${name}-1.0-py3-none-any.whl`);
  const script = `
import json, sys, zipfile
path, name, files = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
with zipfile.ZipFile(path, 'w') as wheel:
    for file, mode in files.items():
        info = zipfile.ZipInfo(file)
        info.external_attr = mode << 16
        wheel.writestr(info, 'content of ' + file)
    wheel.writestr(name + '-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: ' + name + '\\nVersion: 1.0\\n')
    wheel.writestr(name + '-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: py3-none-any\\n')
    wheel.writestr(name + '-1.0.dist-info/RECORD', '')
`;
  execFileSync('python3', ['-c', script, wheelPath, name, JSON.stringify(files)]);
  return {
    component,
    requirement: `stillhouse-test-${component}==1.0`,
    sha256: createHash('sha256').update(readFileSync(wheelPath)).digest('hex'),
    pipPlatform: 'manylinux_2_27_x86_64',
    bytes: statSync(wheelPath).size,
    keptBytes: 1000,
    parts: ['lib/', 'bin/'],
  };
}

test.serial('wheels are unpacked where the run paths look; one that is damaged is fetched again, alone', async (t) => {
  interface Cuda {
    missingCuda(folder: string, wheels: readonly Wheel[]): Promise<Wheel[]>;
    fetchCuda(cache: string, folder: string, context: object, wheels: readonly Wheel[]): Promise<void>;
    cudaBytes(wheels: readonly Wheel[]): number;
  }
  const { missingCuda, fetchCuda, cudaBytes } = await part<Cuda>('cuda');
  const [index, cache] = [await tempFolder(t), await tempFolder(t)];
  const before = { ...process.env };
  t.teardown(() => {
    for (const name of Object.keys(process.env)) delete process.env[name];
    Object.assign(process.env, before);
  });
  Object.assign(process.env, { PIP_NO_INDEX: '1', PIP_FIND_LINKS: index });
  const one = makeWheel(index, 'cusolver', {
    'nvidia/cusolver/lib/libcusolver.so.11': 0o644,
    'nvidia/cusolver/include/cusolver.h': 0o644,
  });
  const two = makeWheel(index, 'cuda_nvcc', { 'nvidia/cuda_nvcc/bin/ptxas': 0o755 });
  const wheels = [one, two];
  t.is(cudaBytes(wheels), 2000 + Math.max(one.bytes, two.bytes));
  const steps: string[] = [];
  const progress = {
    step: async (title: string, work: (update: () => void) => Promise<string>) => {
      steps.push(title);
      await work(() => undefined);
    },
  };
  const folder = path.join(cache, 'tensorflow', 'nvidia');
  const fetchAll = (from: readonly Wheel[]) => fetchCuda(cache, folder, { progress }, from);

  await fetchAll(wheels);
  t.deepEqual(await missingCuda(folder, wheels), []);
  t.deepEqual(readdirSync(path.join(folder, 'cusolver')).sort(), ['lib', 'stillhouse.json']);
  t.is(statSync(path.join(folder, 'cuda_nvcc/bin/ptxas')).mode & 0o777, 0o755);
  // As TensorFlow and cuDNN look for them.
  const link = path.join(folder, 'nvshmem/lib/libcusolver.so.11');
  t.is(readFileSync(link, 'utf8'), 'content of nvidia/cusolver/lib/libcusolver.so.11');
  t.is(readlinkSync(path.join(folder, 'nvrtc')), 'cuda_nvrtc');

  writeFileSync(path.join(folder, 'cuda_nvcc/bin/ptxas'), 'cut');
  rmSync(link);
  steps.length = 0;
  await fetchAll(wheels);
  t.deepEqual(steps, ['stillhouse-test-cuda_nvcc==1.0 (1 of 1)']);
  t.true(existsSync(link));
  t.deepEqual(await missingCuda(folder, wheels), []);
  t.deepEqual(readdirSync(path.join(cache, 'staging')), []);
});
