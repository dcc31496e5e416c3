/** The GPU: driver, libraries, and what TensorFlow made of them. Pure but for `readGpuFacts`. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Environment } from '../../lib/base/settings.ts';
import { gpuModels } from '../../lib/engine/devices.ts';
import { type Check, ok, warn } from './check.ts';
import type { ProbeOutcome } from './engine.ts';

const GPU_HINT = 'docs/settings.md says what a GPU needs';

export interface GpuFacts {
  /** Of the kernel's module; null without one. */
  readonly driverVersion: string | null;
  readonly models: readonly string[];
}

export function readGpuFacts(): GpuFacts {
  const file = '/proc/driver/nvidia/version';
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return { driverVersion: /Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s/.exec(text)?.[1] ?? null, models: gpuModels() };
}

/** The device in use, and what is missing where the machine has a GPU that is not in use. */
export function deviceCheck(facts: GpuFacts, { report, log }: ProbeOutcome, environment: Environment): Check {
  const machine = describeMachine(facts);
  if (report === undefined) return warn('device', `unknown without the engine; ${machine}; ${whyNot(log)}`, GPU_HINT);
  const device = report.fingerprint.split('/')[1] ?? '';
  if (device.startsWith('gpu')) {
    const driver = facts.driverVersion === null ? '' : `; ${machine}`;
    return ok('device', `GPU ${createdDevice(log) ?? device}${driver}`);
  }
  if (facts.driverVersion === null) return ok('device', `CPU; ${machine}`);
  if (environment.STILLHOUSE_DEVICE === 'cpu') return ok('device', `CPU, as STILLHOUSE_DEVICE says; ${machine}`);
  if (!isGpuBuild(report.library)) {
    return warn('device', `CPU; ${machine}`, 'this is the CPU build: run `STILLHOUSE_GPU=on npm run setup`');
  }
  return warn('device', `CPU; ${machine}; ${whyNot(log)}`, GPU_HINT);
}

function describeMachine({ driverVersion, models }: GpuFacts): string {
  if (driverVersion === null) return 'no NVIDIA driver on this machine';
  return `NVIDIA driver ${driverVersion}, ${models.length === 0 ? 'no GPU listed' : models.join(', ')}`;
}

/** Name, memory and compute capability, from TensorFlow's line about the device that it made. */
function createdDevice(log: string): string | undefined {
  const found = /Created device .*?(\d+ MB) memory.*?name: ([^,]+).*?(compute capability): ([\d.]+)/.exec(log);
  return found === null ? undefined : `${found[2]}, ${found[1]}, ${found[3]} ${found[4]}`;
}

/** The GPU build's libraries lie beside NVIDIA's. */
function isGpuBuild(library: string | null): boolean {
  return library !== null && existsSync(path.join(path.dirname(library), '..', 'nvidia'));
}

/** TensorFlow's first line about a GPU that it could not use, without time and place in its source. */
function whyNot(log: string): string {
  const told = log
    .split('\n')
    .map((line) => /^\S+ .*?\.cc:\d+\]\s*(.*)$/.exec(line)?.[1] ?? '')
    .find((line) => /gpu|cuda|dlopen|dso/i.test(line) && /could not|cannot|failed|skipping|not be used/i.test(line));
  return told === undefined
    ? 'TensorFlow says nothing about GPUs, as its CPU build does'
    : `TensorFlow says: ${told.slice(0, 300)}`;
}
