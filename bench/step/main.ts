/**
 * `npm run bench -- step`: one training step of ours beside PyTorch's modes, on the same nets, batches and number of threads.
 * Ours is compiled, as a worker alone does it; compiled with gradients leaving the engine and their mean coming back, as
 * workers that average do it; and eager. The processes run in turns, a few steps each, so that whatever else the machine does hits all of
 * them; medians are compared.
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { table } from '../../cli/text.ts';
import { type Measured, type TurnRunner, takeTurns } from '../turns.ts';
import { type BenchCase, CASES, modelOf } from './cases.ts';
import { stepFlops } from './flops.ts';
import { Peer } from './peer.ts';

interface Runner extends TurnRunner {
  readonly kind: 'compiled' | 'averaged' | 'eager' | 'pytorch';
}

export interface StepBenchOptions {
  /** Python with torch and torchvision; undefined leaves PyTorch out. */
  readonly python: string | undefined;
  /** Only these of `NETS`; none for all. */
  readonly nets: readonly string[];
  readonly threads: number;
}

/** @returns whether every bar that could be measured was reached */
export async function benchStep(options: StepBenchOptions, out: (line: string) => void): Promise<boolean> {
  const runners: Runner[] = [];
  try {
    for await (const runner of startRunners(options, out)) runners.push(runner);
    await describeMachine(runners, options.threads, out);
    let isReached = true;
    for (const benchCase of CASES) {
      if (options.nets.length > 0 && !options.nets.includes(benchCase.net)) continue;
      isReached =
        report(benchCase, await takeTurns(benchCase, runners, out), await peakGflops(runners), out) && isReached;
    }
    await reportProcesses(runners, out);
    return isReached;
  } finally {
    for (const { peer } of runners) peer.stop();
  }
}

/** Yields each as it starts, so that those that run are known when one cannot. */
async function* startRunners(
  { python, threads }: StepBenchOptions,
  out: (line: string) => void,
): AsyncGenerator<Runner> {
  const script = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  for (const mode of ['compiled', 'averaged', 'eager'] as const) {
    const label = `ours, ${mode}`;
    const args = ['--import=tsx', script('./ours.ts'), String(threads)];
    yield { label, kind: mode, mode, peer: await Peer.start(label, process.execPath, args) };
  }
  if (python === undefined || !existsSync(python)) {
    out(
      `PyTorch is left out: ${python === undefined ? 'no --python or STILLHOUSE_BENCH_PYTHON' : `there is no ${python}`}`,
    );
    out('  python3 -m venv VENV && VENV/bin/pip install torch torchvision; then --python VENV/bin/python');
    return;
  }
  for (const mode of ['eager', 'channels_last', 'compile']) {
    const label = `PyTorch, ${mode}`;
    const peer = await Peer.start(label, python, [script('./pytorch_peer.py'), String(threads)]);
    yield { label, kind: 'pytorch', mode, peer };
  }
}

async function peakGflops(runners: readonly Runner[]): Promise<number> {
  const all = [];
  for (const { peer } of runners) all.push((await peer.info()).gflops);
  return Math.max(...all);
}

function report(
  benchCase: BenchCase,
  measured: readonly Measured<Runner>[],
  peak: number,
  out: (line: string) => void,
): boolean {
  const { batch, bars } = benchCase;
  const gflop = (stepFlops(modelOf(benchCase)) * batch) / 1e9;
  const ours = measured.find(({ runner }) => runner.kind === 'compiled');
  const rows = measured.map(({ runner, medianMs }) => [
    runner.label,
    medianMs.toFixed(2),
    ((1000 * batch) / medianMs).toFixed(0),
    ours === undefined ? '' : `${(medianMs / ours.medianMs).toFixed(2)}x`,
    `${((100 * gflop) / (medianMs / 1000) / peak).toFixed(0)} %`,
  ]);
  for (const line of table([['', 'ms a step', 'images/s', 'ours is faster', `of ${peak.toFixed(0)} GFLOP/s`], ...rows]))
    out(`  ${line}`);
  let isReached = ours !== undefined;
  for (const { over, ratio } of bars) {
    const best = bestMs(measured, over);
    if (ours === undefined || best === undefined) continue;
    const reached = best / ours.medianMs;
    const verdict = reached >= ratio ? 'reached' : 'MISSED';
    out(
      `  ${verdict}: ${reached.toFixed(2)}x ${over === 'eager' ? 'our eager step' : "PyTorch's best mode"}, bar ${ratio}x`,
    );
    if (reached < ratio) isReached = false;
  }
  const averagedMs = bestMs(measured, 'averaged');
  const pytorchMs = bestMs(measured, 'pytorch');
  if (averagedMs !== undefined && pytorchMs !== undefined) {
    out(`  averaged: ${(pytorchMs / averagedMs).toFixed(2)}x PyTorch's best mode`);
  }
  return isReached;
}

/** Undefined when no runner of the kind was measured. */
function bestMs(measured: readonly Measured<Runner>[], kind: Runner['kind']): number | undefined {
  const times = measured.filter(({ runner }) => runner.kind === kind).map(({ medianMs }) => medianMs);
  return times.length === 0 ? undefined : Math.min(...times);
}

async function describeMachine(
  runners: readonly Runner[],
  threads: number,
  out: (line: string) => void,
): Promise<void> {
  out(`${threads} threads of ${availableParallelism()}`);
  for (const { label, peer } of runners) out(`  ${label}: ${(await peer.info()).version}`);
}

async function reportProcesses(runners: readonly Runner[], out: (line: string) => void): Promise<void> {
  out('\nprocesses');
  const rows: string[][] = [];
  for (const { label, peer } of runners) {
    const { rss } = await peer.info();
    rows.push([label, (peer.startMs / 1000).toFixed(1), (rss / 2 ** 20).toFixed(0)]);
  }
  for (const line of table([['', 'start-up, s', 'largest RSS, MiB'], ...rows])) out(`  ${line}`);
}
