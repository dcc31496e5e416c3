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
import { describeError } from '../../lib/base/errors.ts';
import { describeModel } from '../../lib/model/parameters.ts';
import { architectureNamed } from '../../lib/model/zoo.ts';
import { median } from '../report.ts';
import { stepFlops } from './flops.ts';
import { Peer } from './peer.ts';
import type { StepCase } from './protocol.ts';

interface Bar {
  readonly over: 'eager' | 'pytorch';
  readonly ratio: number;
}

interface BenchCase extends StepCase {
  readonly bars: readonly Bar[];
}

const CASES: readonly BenchCase[] = [
  {
    net: 'simple-cnn',
    size: 32,
    classes: 5,
    batch: 64,
    bars: [
      { over: 'eager', ratio: 2.8 },
      { over: 'pytorch', ratio: 1.4 },
    ],
  },
  {
    net: 'resnet-20',
    size: 32,
    classes: 10,
    batch: 64,
    bars: [
      { over: 'eager', ratio: 1.6 },
      { over: 'pytorch', ratio: 1 },
    ],
  },
  { net: 'resnet-18', size: 32, classes: 10, batch: 64, bars: [{ over: 'pytorch', ratio: 1 }] },
  { net: 'resnet-18', size: 224, classes: 1000, batch: 8, bars: [{ over: 'pytorch', ratio: 1 }] },
  { net: 'student-net', size: 224, classes: 2, batch: 32, bars: [] },
];

/** Time that a runner gets per turn, and the turns of a case. */
const TURN_MS = 1_000;
const TURNS = 8;

interface Runner {
  readonly label: string;
  readonly kind: 'compiled' | 'averaged' | 'eager' | 'pytorch';
  readonly mode: string;
  readonly peer: Peer;
}

interface Measured {
  readonly runner: Runner;
  readonly medianMs: number;
}

export interface StepBenchOptions {
  /** Python with torch and torchvision; undefined leaves PyTorch out. */
  readonly python: string | undefined;
  /** Only these nets. */
  readonly nets: readonly string[];
  readonly threads: number;
}

/** @returns whether every bar that could be measured was reached */
export async function benchStep(options: StepBenchOptions, out: (line: string) => void): Promise<boolean> {
  const runners = await startRunners(options, out);
  try {
    await describeMachine(runners, options.threads, out);
    let isReached = true;
    for (const benchCase of CASES) {
      if (options.nets.length > 0 && !options.nets.includes(benchCase.net)) continue;
      isReached =
        report(benchCase, await measure(benchCase, runners, out), await peakGflops(runners), out) && isReached;
    }
    await reportProcesses(runners, out);
    return isReached;
  } finally {
    for (const { peer } of runners) peer.stop();
  }
}

async function startRunners({ python, threads }: StepBenchOptions, out: (line: string) => void): Promise<Runner[]> {
  const script = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  const ours = (mode: 'compiled' | 'averaged' | 'eager') =>
    Peer.start(`ours, ${mode}`, process.execPath, ['--import=tsx', script('./ours.ts'), String(threads)]);
  const runners: Runner[] = [
    { label: 'ours, compiled', kind: 'compiled', mode: 'compiled', peer: await ours('compiled') },
    { label: 'ours, averaged', kind: 'averaged', mode: 'averaged', peer: await ours('averaged') },
    { label: 'ours, eager', kind: 'eager', mode: 'eager', peer: await ours('eager') },
  ];
  if (python === undefined || !existsSync(python)) {
    out(
      `PyTorch is left out: ${python === undefined ? 'no --python or STILLHOUSE_BENCH_PYTHON' : `there is no ${python}`}`,
    );
    out('  python3 -m venv VENV && VENV/bin/pip install torch torchvision; then --python VENV/bin/python');
    return runners;
  }
  for (const mode of ['eager', 'channels_last', 'compile']) {
    const label = `PyTorch, ${mode}`;
    const peer = await Peer.start(label, python, [script('./pytorch_peer.py'), String(threads)]);
    runners.push({ label, kind: 'pytorch', mode, peer });
  }
  return runners;
}

/** Opens the case everywhere, then lets the runners take turns. A runner that cannot is left out with its reason. */
async function measure(
  stepCase: StepCase,
  runners: readonly Runner[],
  out: (line: string) => void,
): Promise<Measured[]> {
  const { net, size, batch, classes } = stepCase;
  out(`\n${net} at ${size}x${size}, batch ${batch}, ${classes} classes`);
  const times = new Map<Runner, number[]>();
  const stepsPerTurn = new Map<Runner, number>();
  for (const runner of runners) {
    try {
      await runner.peer.open(stepCase, runner.mode);
      const warm = median(await runner.peer.run(4));
      stepsPerTurn.set(runner, Math.max(2, Math.round(TURN_MS / warm)));
      times.set(runner, []);
    } catch (error) {
      out(`  ${runner.label} is left out: ${describeError(error)}`);
    }
  }
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [runner, samples] of times) samples.push(...(await runner.peer.run(stepsPerTurn.get(runner) as number)));
  }
  return [...times].map(([runner, samples]) => ({ runner, medianMs: median(samples) }));
}

async function peakGflops(runners: readonly Runner[]): Promise<number> {
  const all = [];
  for (const { peer } of runners) all.push((await peer.info()).gflops);
  return Math.max(...all);
}

function report(
  benchCase: BenchCase,
  measured: readonly Measured[],
  peak: number,
  out: (line: string) => void,
): boolean {
  const { net, size, classes, batch, bars } = benchCase;
  const model = describeModel(architectureNamed(net), { height: size, width: size, channels: 3 }, classes);
  const gflop = (stepFlops(model) * batch) / 1e9;
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
    const others = measured.filter(({ runner }) => runner.kind === over);
    if (ours === undefined || others.length === 0) continue;
    const best = Math.min(...others.map(({ medianMs }) => medianMs));
    const reached = best / ours.medianMs;
    const verdict = reached >= ratio ? 'reached' : 'MISSED';
    out(
      `  ${verdict}: ${reached.toFixed(2)}x ${over === 'eager' ? 'our eager step' : "PyTorch's best mode"}, bar ${ratio}x`,
    );
    if (reached < ratio) isReached = false;
  }
  return isReached;
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
