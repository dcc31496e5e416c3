/** Stillhouse itself, Node, and the machine. */
import { readFileSync } from 'node:fs';
import { arch, cpus, totalmem } from 'node:os';
import { availableCores, cpuQuota, memoryLimitBytes } from '../../lib/base/machine.ts';
import { readPackage } from '../paths.ts';
import { counted } from '../text.ts';
import { type Check, fail, ok, warn } from './check.ts';

const MEMORY_WARN_BYTES = 2 * 2 ** 30;

export function versionCheck(): Check {
  return ok('Stillhouse', readPackage().version);
}

/** @param range of the form `^a.b.c || ^d.e.f`, as package.json has it */
export function nodeCheck(version: string, range: string): Check {
  const detail = `${version}, needs ${range}`;
  return inRange(version, range) ? ok('Node', detail) : fail('Node', detail, 'install Node 22');
}

function inRange(version: string, range: string): boolean {
  const have = version.split('.').map(Number);
  return range.split('||').some((part) => {
    const low = part.trim().replace(/^\^/, '').split('.').map(Number);
    const different = low.findIndex((number, index) => number !== have[index]);
    return have[0] === low[0] && (different === -1 || (have[different] ?? 0) > (low[different] ?? 0));
  });
}

/** Groups of instructions by which TensorFlow's kernels differ most, as Linux calls them. */
const INSTRUCTIONS = [
  ['avx', 'AVX'],
  ['avx2', 'AVX2'],
  ['fma', 'FMA'],
  ['avx512f', 'AVX-512'],
  ['avx512_vnni', 'AVX512_VNNI'],
  ['avx512_bf16', 'AVX512_BF16'],
  ['amx_bf16', 'AMX_BF16'],
  ['amx_int8', 'AMX_INT8'],
  ['asimd', 'NEON'],
  ['sve', 'SVE'],
  ['bf16', 'BF16'],
] as const;

/** @param cpuinfo the text of /proc/cpuinfo; undefined on other systems */
export function processorCheck(model: string, architecture: string, cpuinfo: string | undefined): Check {
  const flags = /^(?:flags|Features)\s*:(.*)$/m
    .exec(cpuinfo ?? '')?.[1]
    ?.trim()
    .split(/\s+/);
  if (flags === undefined) return ok('processor', `${model}, ${architecture}`);
  const has = new Set(flags);
  const names = INSTRUCTIONS.filter(([flag]) => has.has(flag)).map(([, name]) => name);
  const detail = `${model}, ${architecture}: ${names.length === 0 ? 'no vector instructions' : names.join(', ')}`;
  if (architecture !== 'x64') return ok('processor', detail);
  if (!has.has('avx')) return fail('processor', detail, 'TensorFlow needs AVX');
  return has.has('avx2') ? ok('processor', detail) : warn('processor', detail, 'without AVX2 TensorFlow is slow');
}

export function processorHere(): Check {
  const cpuinfo = process.platform === 'linux' ? readFileSync('/proc/cpuinfo', 'utf8') : undefined;
  return processorCheck(cpus()[0]?.model.trim() || 'unknown processor', arch(), cpuinfo);
}

export function systemCheck(): Check {
  const detail = `${process.platform}-${process.arch}`;
  if (process.platform === 'linux') return ok('system', detail);
  return warn('system', detail, 'Linux is what Stillhouse is made and tested for');
}

/** Processors and memory, with what a container's limits leave of them. */
export function resourcesCheck(): Check {
  const quota = cpuQuota();
  const cores = counted(availableCores(), 'processor');
  const limit = memoryLimitBytes();
  const limits = [
    ...(quota === undefined ? [] : [`the control group allows ${quota.toFixed(1)} of ${cpus().length} processors`]),
    ...(limit >= totalmem() ? [] : [`the control group allows ${gibibytes(limit)} of ${gibibytes(totalmem())}`]),
  ];
  const detail = [`${cores}, ${gibibytes(limit)} of memory`, ...limits].join('; ');
  return limit >= MEMORY_WARN_BYTES ? ok('resources', detail) : warn('resources', detail, 'a worker takes about 1 GiB');
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
