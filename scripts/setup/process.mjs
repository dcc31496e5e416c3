/** Running other programs so that none outlives us. Each gets its own process group, which is ended as a whole. */
import { spawn } from 'node:child_process';
import { SetupError } from './errors.mjs';
import { guardGroup, unguardGroup } from './guard.mjs';

const KEPT_OUTPUT_CHARACTERS = 64 * 1024;
const GRACE_MS = 3000;

/** Groups that are running now, by the pid of their leader. */
const groups = new Set();

// Whatever ends us, a crash included: nothing that we started stays.
process.once('exit', () => killAllGroups('SIGKILL'));

/** Signals every running group. */
export function killAllGroups(signalName) {
  for (const pid of groups) killGroup(pid, signalName);
}

/** Signals a process group; one that has ended already is fine (EPERM: of a dead one on some systems). */
function killGroup(pid, signalName) {
  try {
    process.kill(-pid, signalName);
  } catch (error) {
    if (error.code !== 'ESRCH' && error.code !== 'EPERM') throw error;
  }
}

/**
 * Runs a program to its end. Never rejects for a non-zero exit: the caller knows best what that means.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {object} [options]
 * @param {string} [options.cwd]
 * @param {NodeJS.ProcessEnv} [options.env]
 * @param {AbortSignal} [options.signal] ends the whole group (TERM, then KILL) and rejects with its reason
 * @param {(line: string) => void} [options.onLine] each line of standard output
 * @param {boolean} [options.inherit] let it write to our standard output and error (nothing is collected)
 * @param {boolean} [options.inheritError] the same for its standard error only
 * @returns {Promise<{code: number | null, signalName: string | null, stdout: string, output: string}>} `output` has both
 *   streams as they came, its last 64 KiB
 * @throws {SetupError} with `cause.code` ENOENT when there is no such program
 */
export function run(command, args, { cwd, env, signal, onLine, inherit = false, inheritError = false } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const stdio = ['ignore', inherit ? 'inherit' : 'pipe', inherit || inheritError ? 'inherit' : 'pipe'];
    const child = spawn(command, args, { cwd, env: env ?? process.env, stdio, detached: true });
    if (child.pid !== undefined) {
      groups.add(child.pid);
      guardGroup(child.pid);
    }
    let killTimer;
    const onAbort = () => {
      if (child.pid === undefined) return;
      killGroup(child.pid, 'SIGTERM');
      killTimer = setTimeout(() => killGroup(child.pid, 'SIGKILL'), GRACE_MS);
    };
    const settle = (action) => {
      clearTimeout(killTimer);
      signal?.removeEventListener('abort', onAbort);
      if (child.pid !== undefined) {
        groups.delete(child.pid);
        unguardGroup(child.pid);
      }
      action();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const kept = collect(child, onLine);
    child.once('error', (cause) =>
      settle(() => reject(new SetupError(`${command} can't be run: ${cause.message}`, { cause }))),
    );
    // What the leader leaves behind must not outlive it (and holds our pipes open, so 'close' would not come).
    child.once('exit', () => killGroup(child.pid, 'SIGKILL'));
    child.once('close', (code, signalName) =>
      settle(() => (signal?.aborted ? reject(signal.reason) : resolve({ code, signalName, ...kept() }))),
    );
  });
}

/** Gathers a child's output; the returned function gives what there is so far. */
function collect(child, onLine) {
  let stdout = '';
  let output = '';
  let partial = '';
  const keep = (text, chunk) => (text + chunk).slice(-KEPT_OUTPUT_CHARACTERS);
  child.stdout?.setEncoding('utf8').on('data', (chunk) => {
    stdout = keep(stdout, chunk);
    output = keep(output, chunk);
    if (onLine === undefined) return;
    const lines = (partial + chunk).split('\n');
    partial = lines.pop();
    for (const line of lines) onLine(line);
  });
  child.stderr?.setEncoding('utf8').on('data', (chunk) => {
    output = keep(output, chunk);
  });
  return () => ({ stdout, output });
}

/** Waits; rejects with the signal's reason when aborted. */
export function sleep(delayMs, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, delayMs);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** The last line that says something, for showing a program's failure in one line. */
export function lastLine(output) {
  const lines = output.split(/[\r\n]+/).map((line) => line.trim());
  return lines.filter((line) => line !== '').at(-1) ?? 'it said nothing';
}
