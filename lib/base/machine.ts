/** What of the machine this process may use: containers limit processors and memory below what the machine has. */
import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import path from 'node:path';

/** A file's text; undefined where it is not there or may not be read. */
export type ReadText = (file: string) => string | undefined;

/**
 * Processors that this process may keep busy, at least 1: its affinity, and the CPU quota of its control groups, rounded
 * down (Node counts the quota only from version 22.10 on).
 */
export function availableCores(readText: ReadText = readTextIfAny): number {
  return Math.max(1, Math.floor(Math.min(availableParallelism(), cpuQuota(readText) ?? Infinity)));
}

/** Processors' worth of time that the control groups allow, e.g. 1.5; undefined without a limit. */
export function cpuQuota(readText: ReadText = readTextIfAny): number | undefined {
  const groups = (readText('/proc/self/cgroup') ?? '').split('\n').map((line) => line.split(':'));
  const quotas = groups.flatMap(([, controllers = '', group = '/']) => {
    const names = controllers.split(',');
    if (controllers === '') return upTo(group).map((folder) => quotaV2(readText(`/sys/fs/cgroup${folder}/cpu.max`)));
    if (!names.includes('cpu')) return [];
    return upTo(group).map((folder) => {
      const base = `/sys/fs/cgroup/${controllers}${folder}`;
      return quotaOf(readText(`${base}/cpu.cfs_quota_us`), readText(`${base}/cpu.cfs_period_us`));
    });
  });
  const limits = quotas.filter((quota) => quota !== undefined);
  return limits.length === 0 ? undefined : Math.min(...limits);
}

/** Bytes of memory that this process and its children may use together: the control group's limit, else the machine's. */
export function memoryLimitBytes(): number {
  const total = totalmem();
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, total) : total;
}

/** Files that this process may have open at a time; undefined where that cannot be told, or there is no limit. */
export function openFileLimit(readText: ReadText = readTextIfAny): number | undefined {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(readText('/proc/self/limits') ?? '') ?? [];
  return soft === undefined ? undefined : Number(soft);
}

/** The group's folder and those above it, as a prefix for file names: `/a/b` gives `/a/b`, `/a` and the empty text. */
function upTo(group: string): string[] {
  if (group === '/' || group === '' || group === '.') return [''];
  return [group, ...upTo(path.posix.dirname(group))];
}

/** `cpu.max` holds microseconds of time and of period: `150000 100000`, or `max 100000` without a limit. */
function quotaV2(text: string | undefined): number | undefined {
  const [quota, period] = text?.trim().split(' ') ?? [];
  return quotaOf(quota, period);
}

function quotaOf(quota: string | undefined, period: string | undefined): number | undefined {
  const cores = Number(quota) / Number(period);
  return cores > 0 && Number.isFinite(cores) ? cores : undefined;
}

function readTextIfAny(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    // Other systems have no /proc, other containers other controllers; a limit that cannot be read is none.
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
