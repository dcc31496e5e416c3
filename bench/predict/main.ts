/**
 * `npm run bench -- predict`: logits of batches of images, ours beside PyTorch's and ONNX Runtime's, on the same nets, batches and
 * number of threads. Ours is a model that only predicts, whose weights are constants, and a model that trains, whose weights are
 * variables. Images arrive at the network's size, so that nobody has to scale them.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { table } from '../../cli/text.ts';
import { Peer } from '../step/peer.ts';
import type { StepCase } from '../step/protocol.ts';
import { type Measured, type TurnRunner, takeTurns } from '../turns.ts';

interface PredictCase extends StepCase {
  /** How many times as fast as PyTorch's best mode ours is to be. */
  readonly bar: number;
}

const CASES: readonly PredictCase[] = [
  { net: 'efficientnet-lite0', size: 224, classes: 1000, batch: 32, bar: 1.5 },
  { net: 'simple-cnn', size: 32, classes: 10, batch: 64, bar: 1 },
  { net: 'resnet-20', size: 32, classes: 10, batch: 64, bar: 1 },
  { net: 'resnet-18', size: 224, classes: 1000, batch: 8, bar: 1 },
];

export const PREDICT_NETS: readonly string[] = CASES.map(({ net }) => net);

interface Runner extends TurnRunner {
  readonly kind: 'ours' | 'training' | 'pytorch' | 'onnxruntime';
}

export interface PredictBenchOptions {
  /** Python with torch, torchvision, timm, onnx and onnxruntime; undefined leaves them out. */
  readonly python: string | undefined;
  /** Only these of `PREDICT_NETS`; none for all. */
  readonly nets: readonly string[];
  readonly threads: number;
}

/** @returns whether every bar that could be measured was reached */
export async function benchPredict(options: PredictBenchOptions, out: (line: string) => void): Promise<boolean> {
  const runners: Runner[] = [];
  try {
    for await (const runner of startRunners(options, out)) runners.push(runner);
    out(`${options.threads} threads`);
    for (const { label, peer } of runners) out(`  ${label}: ${(await peer.info()).version}`);
    let isReached = true;
    for (const predictCase of CASES) {
      if (options.nets.length > 0 && !options.nets.includes(predictCase.net)) continue;
      isReached = report(predictCase, await takeTurns(predictCase, runners, out), out) && isReached;
    }
    return isReached;
  } finally {
    for (const { peer } of runners) peer.stop();
  }
}

/** Yields each as it starts, so that those that run are known when one cannot. */
async function* startRunners(
  { python, threads }: PredictBenchOptions,
  out: (line: string) => void,
): AsyncGenerator<Runner> {
  const script = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  const ours = [
    ['ours', 'ours', 'frozen'],
    ['ours, while training', 'training', 'variables'],
  ] as const;
  for (const [label, kind, mode] of ours) {
    const args = ['--import=tsx', script('./ours.ts'), String(threads)];
    yield { label, kind, mode, peer: await Peer.start(label, process.execPath, args) };
  }
  if (python === undefined || !existsSync(python)) {
    out(`PyTorch and ONNX Runtime are left out: ${python === undefined ? 'no --python' : `there is no ${python}`}`);
    return;
  }
  const theirs = [
    ['PyTorch, eager', 'pytorch', 'eager'],
    ['PyTorch, channels_last', 'pytorch', 'channels_last'],
    ['ONNX Runtime', 'onnxruntime', 'onnxruntime'],
  ] as const;
  for (const [label, kind, mode] of theirs) {
    const peer = await Peer.start(label, python, [script('./python_peer.py'), String(threads)]);
    yield { label, kind, mode, peer };
  }
}

function report(
  { batch, bar }: PredictCase,
  measured: readonly Measured<Runner>[],
  out: (line: string) => void,
): boolean {
  const ours = measured.find(({ runner }) => runner.kind === 'ours');
  const rows = measured.map(({ runner, medianMs }) => [
    runner.label,
    (medianMs / batch).toFixed(3),
    ((1000 * batch) / medianMs).toFixed(0),
    ours === undefined ? '' : `${(medianMs / ours.medianMs).toFixed(2)}x`,
  ]);
  for (const line of table([['', 'ms an image', 'images/s', 'ours is faster'], ...rows])) out(`  ${line}`);
  const pytorch = measured.filter(({ runner }) => runner.kind === 'pytorch').map(({ medianMs }) => medianMs);
  if (ours === undefined || pytorch.length === 0) return ours !== undefined;
  const reached = Math.min(...pytorch) / ours.medianMs;
  out(`  ${reached >= bar ? 'reached' : 'MISSED'}: ${reached.toFixed(2)}x PyTorch's best mode, bar ${bar}x`);
  return reached >= bar;
}
