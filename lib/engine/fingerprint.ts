/** What decides the low-order bits of a computation: workers whose fingerprints are equal compute bit-identically. */
import { readFileSync } from 'node:fs';
import { arch, cpus } from 'node:os';
import { sha256 } from '../base/digest.ts';
import { backend } from './tf.ts';

export function engineFingerprint(): string {
  const { binding } = backend();
  const device = binding.isUsingGpuDevice() ? 'gpu' : 'cpu';
  const threads = process.env.TF_NUM_INTRAOP_THREADS ?? 'default';
  return `tensorflow-${binding.TF_Version}/${device}/${arch()}-${instructionSet()}/threads-${threads}`;
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
