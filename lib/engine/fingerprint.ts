/** What decides the low-order bits of a computation: workers whose fingerprints are equal compute bit-identically. */
import { readFileSync } from 'node:fs';
import { arch, cpus } from 'node:os';
import { sha256 } from '../base/digest.ts';
import { deviceInUse } from './devices.ts';
import { engineInUse, nativeBackend, tf } from './tf.ts';

/** Variables by which TensorFlow and NVIDIA's libraries choose other kernels, and what they are unless a user sets them. */
const NUMERIC_VARIABLES = {
  TF_ENABLE_ONEDNN_OPTS: undefined,
  TF_DETERMINISTIC_OPS: undefined,
  NVIDIA_TF32_OVERRIDE: '0',
} as const;

/** @throws FAILED_PRECONDITION when a GPU was asked for and there is none */
export function engineFingerprint(): string {
  if (engineInUse.kind === 'plain') return plainFingerprint();
  const { binding } = nativeBackend();
  const device = deviceInUse(binding.isUsingGpuDevice(), process.env);
  const threads = process.env.TF_NUM_INTRAOP_THREADS ?? 'default';
  const special = Object.entries(NUMERIC_VARIABLES).flatMap(([name, usual]) => {
    const value = process.env[name];
    return value === undefined || value === usual ? [] : [`/${name}=${value}`];
  });
  const processor = `${arch()}-${instructionSet()}`;
  return `tensorflow-${binding.TF_Version}/${device}/${processor}/threads-${threads}${special.join('')}`;
}

/** JavaScript computes alike on every processor, but each version of V8 has its own exponential and its own order of sums. */
function plainFingerprint(): string {
  const device = deviceInUse(false, process.env);
  return `tensorflowjs-${tf.version.tfjs}/plain-${device}/v8-${process.versions.v8}`;
}

/** A short digest of the processor's instruction set, by which oneDNN and Eigen choose their kernels. */
function instructionSet(): string {
  const flags = process.platform === 'linux' ? cpuFlags() : undefined;
  return sha256(flags ?? cpus()[0]?.model ?? 'unknown').slice('sha256:'.length, 'sha256:'.length + 8);
}

function cpuFlags(): string | undefined {
  const line = readFileSync('/proc/cpuinfo', 'utf8')
    .split('\n')
    .find((text) => text.startsWith('flags') || text.startsWith('Features'));
  return line?.slice(line.indexOf(':') + 1).trim();
}
