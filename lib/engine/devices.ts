/** Which device computes: what may be asked for, what TensorFlow is shown of the machine, and what it is called. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { StillhouseError } from '../base/errors.ts';
import type { Environment } from '../base/settings.ts';

export type DeviceChoice =
  | { readonly kind: 'auto' }
  | { readonly kind: 'cpu' }
  /** `index`: among the GPUs that the process may see. */
  | { readonly kind: 'gpu'; readonly index: number };

/** Undefined for a text that is none of `auto`, `cpu`, `gpu` and `gpu:<number>`. */
export function parseDevice(text: string): DeviceChoice | undefined {
  if (text === 'auto' || text === 'cpu') return { kind: text };
  const match = /^gpu(?::(\d{1,3}))?$/.exec(text);
  return match === null ? undefined : { kind: 'gpu', index: Number(match[1] ?? 0) };
}

/**
 * `CUDA_VISIBLE_DEVICES` for a choice: none, or exactly one. The binding computes on one GPU, the last that it sees, and
 * TensorFlow would take memory on all of them.
 *
 * @param visible the variable as the process found it, e.g. from Kubernetes or Slurm
 * @throws INVALID_ARGUMENT when the variable has no such GPU
 */
export function visibleDevices(device: string, visible: string | undefined): string {
  const choice = parseDevice(device) ?? { kind: 'auto' };
  if (choice.kind === 'cpu') return '-1';
  const index = choice.kind === 'gpu' ? choice.index : 0;
  if (visible === undefined) return String(index);
  const listed = visible.split(',').filter((name) => name.trim() !== '');
  const chosen = listed[index];
  if (chosen !== undefined) return chosen;
  if (choice.kind === 'auto') return '-1';
  const message = `STILLHOUSE_DEVICE is ${device}, but CUDA_VISIBLE_DEVICES ("${visible}") shows ${listed.length} GPUs`;
  throw new StillhouseError('INVALID_ARGUMENT', message, {
    field: 'STILLHOUSE_DEVICE',
    hint: 'GPUs are counted from 0 among those that CUDA_VISIBLE_DEVICES names',
  });
}

/**
 * The device that computes, as the fingerprint names it: `cpu`, or `gpu-` and its model.
 *
 * @param isGpu whether TensorFlow has found a GPU
 * @throws FAILED_PRECONDITION when a GPU was asked for and there is none
 */
export function deviceInUse(isGpu: boolean, environment: Environment, folder?: string): string {
  const { STILLHOUSE_DEVICE: wanted = 'auto', CUDA_VISIBLE_DEVICES: visible } = environment;
  if (isGpu) {
    const model = gpuModel(visible, gpuModels(folder));
    return model === undefined ? 'gpu' : `gpu-${model.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`;
  }
  if (parseDevice(wanted)?.kind !== 'gpu') return 'cpu';
  throw new StillhouseError('FAILED_PRECONDITION', `STILLHOUSE_DEVICE is ${wanted}, but TensorFlow has found no GPU`, {
    field: 'STILLHOUSE_DEVICE',
    hint: '`stillhouse doctor` says why; STILLHOUSE_DEVICE=auto computes on the CPU then',
  });
}

/** Models of the machine's NVIDIA GPUs in the order of their places on the bus; none where the driver does not tell. */
export function gpuModels(folder = '/proc/driver/nvidia/gpus'): string[] {
  try {
    return readdirSync(folder)
      .sort()
      .map((bus) => /^Model:\s*(.+)$/m.exec(readFileSync(path.join(folder, bus, 'information'), 'utf8'))?.[1]?.trim())
      .filter((model) => model !== undefined);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

/** The visible GPU's model; undefined where several models could be meant. */
function gpuModel(visible: string | undefined, models: readonly string[]): string | undefined {
  if (new Set(models).size === 1) return models[0];
  return visible !== undefined && /^\d+$/.test(visible) ? models[Number(visible)] : undefined;
}
