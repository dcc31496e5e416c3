import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { availableCores } from '../../../lib/base/machine.ts';
import { Settings } from '../../../lib/base/settings.ts';
import { deviceInUse, gpuModels, parseDevice, visibleDevices } from '../../../lib/engine/devices.ts';
import { configureEngine, engineSettings } from '../../../lib/engine/environment.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

test('a process that is told nothing takes all its processors, a GPU where there is one, memory as needed', (t) => {
  t.deepEqual(engineSettings(new Settings({})), {
    intraOpThreads: availableCores(),
    interOpThreads: 1,
    device: 'auto',
    gpuMemory: 'grow',
    engine: 'auto',
  });
  const environment = {
    STILLHOUSE_THREADS: '1',
    STILLHOUSE_INTER_OP_THREADS: '2',
    STILLHOUSE_DEVICE: 'gpu:3',
    STILLHOUSE_GPU_MEMORY: 'all',
    STILLHOUSE_ENGINE: 'native',
  };
  t.deepEqual(engineSettings(new Settings(environment)), {
    intraOpThreads: 1,
    interOpThreads: 2,
    device: 'gpu:3',
    gpuMemory: 'all',
    engine: 'native',
  });
});

test('a wrong setting is refused by its name', (t) => {
  const cases = {
    STILLHOUSE_THREADS: ['0', '-1', '1.5', 'two', String(4 * availableCores() + 1)],
    STILLHOUSE_INTER_OP_THREADS: ['0', 'all'],
    STILLHOUSE_DEVICE: ['GPU', 'gpu:', 'gpu:-1', 'gpu:x', 'tpu', 'cpu:0', 'gpu:1234'],
    STILLHOUSE_GPU_MEMORY: ['half', '4GiB'],
    STILLHOUSE_ENGINE: ['tensorflow', 'wasm', 'Plain'],
  };
  for (const [name, values] of Object.entries(cases)) {
    for (const value of values) {
      const thrown = t.throws(() => engineSettings(new Settings({ [name]: value })), {
        code: 'INVALID_ARGUMENT',
        message: new RegExp(`environment variable ${name} is "${value}", expected `),
      });
      t.is((thrown as unknown as { field: string }).field, name);
    }
  }
});

test('TensorFlow is shown one GPU or none, counted among those that the process may see', (t) => {
  t.deepEqual(parseDevice('gpu'), { kind: 'gpu', index: 0 });
  t.is(visibleDevices('cpu', '2,3'), '-1');
  t.is(visibleDevices('auto', undefined), '0');
  t.is(visibleDevices('auto', '2,3'), '2');
  t.is(visibleDevices('auto', ''), '-1');
  t.is(visibleDevices('gpu', undefined), '0');
  t.is(visibleDevices('gpu:1', undefined), '1');
  t.is(visibleDevices('gpu:1', '2,GPU-5f6b'), 'GPU-5f6b');
  t.throws(() => visibleDevices('gpu:2', '2,3'), {
    code: 'INVALID_ARGUMENT',
    message: 'STILLHOUSE_DEVICE is gpu:2, but CUDA_VISIBLE_DEVICES ("2,3") shows 2 GPUs',
  });
  t.throws(() => visibleDevices('gpu', ''), { message: /shows 0 GPUs/ });
});

test('settings reach TensorFlow through the environment, before it is loaded', (t) => {
  const before = { ...process.env };
  t.teardown(() => {
    for (const name of Object.keys(process.env)) delete process.env[name];
    Object.assign(process.env, before);
  });
  for (const name of ['CUDA_VISIBLE_DEVICES', 'CUDA_DEVICE_ORDER', 'NVIDIA_TF32_OVERRIDE']) delete process.env[name];
  configureEngine({ intraOpThreads: 3, interOpThreads: 2, device: 'gpu:1', gpuMemory: 'all' });
  const { env } = process;
  t.is(env.TF_NUM_INTRAOP_THREADS, '3');
  t.is(env.TF_NUM_INTEROP_THREADS, '2');
  t.is(env.CUDA_VISIBLE_DEVICES, '1');
  t.is(env.CUDA_DEVICE_ORDER, 'PCI_BUS_ID');
  t.is(env.TF_FORCE_GPU_ALLOW_GROWTH, 'false');
  t.is(env.NVIDIA_TF32_OVERRIDE, '0');
});

test('the device in use has the name of its model; a GPU that was asked for must be there', async (t) => {
  const folder = await tempFolder(t);
  const addGpu = (bus: string, model: string) => {
    mkdirSync(path.join(folder, bus));
    writeFileSync(path.join(folder, bus, 'information'), `Model: \t\t ${model}\nIRQ:   \t\t 42\n`);
  };
  t.deepEqual(gpuModels(path.join(folder, 'none')), []);
  t.is(deviceInUse(true, {}, folder), 'gpu');
  addGpu('0000:8a:00.0', 'NVIDIA H200');
  t.is(deviceInUse(true, { CUDA_VISIBLE_DEVICES: 'GPU-5f6b' }, folder), 'gpu-nvidia-h200');
  addGpu('0000:1b:00.0', 'NVIDIA L4');
  t.deepEqual(gpuModels(folder), ['NVIDIA L4', 'NVIDIA H200']);
  t.is(deviceInUse(true, { CUDA_VISIBLE_DEVICES: '1' }, folder), 'gpu-nvidia-h200');
  t.is(deviceInUse(true, { CUDA_VISIBLE_DEVICES: 'GPU-5f6b' }, folder), 'gpu');
  for (const device of ['auto', 'cpu', undefined]) t.is(deviceInUse(false, { STILLHOUSE_DEVICE: device }), 'cpu');
  for (const device of ['gpu', 'gpu:1']) {
    t.throws(() => deviceInUse(false, { STILLHOUSE_DEVICE: device }), {
      code: 'FAILED_PRECONDITION',
      message: `STILLHOUSE_DEVICE is ${device}, but TensorFlow has found no GPU`,
    });
  }
});
