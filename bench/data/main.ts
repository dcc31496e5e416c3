/**
 * `npm run bench -- data`: batches of augmented, normalised images, ours beside PyTorch's DataLoader with torchvision on the same
 * files with as many workers; then how data sets of any size open and stream.
 */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { table } from '../../cli/text.ts';
import { cacheRoot, dataRoot } from '../../lib/base/folders.ts';
import type { Environment } from '../../lib/base/settings.ts';
import { openDataset } from '../../lib/data/open-dataset.ts';
import { median } from '../report.ts';
import { Peer } from '../step/peer.ts';
import { importPictures, PICTURES, pictureFolder } from './pictures.ts';
import { processorMs } from './processor-time.ts';
import type { DataRequest, LookAnswer, RunAnswer } from './protocol.ts';
import { benchScale } from './scale.ts';

const WORKERS = [1, 2];
const TURNS = 7;
const TURN_MS = 2_000;
const WARM_BATCHES = 8;
/** Images that are compared pixel by pixel. */
const PICKS = 8;
const CIFAR_STRIDE = 6000;
/** Of the normalisation. */
const STD = [0.229, 0.224, 0.225] as const;

interface DataCase {
  readonly name: 'cifar' | 'pictures';
  readonly title: string;
  readonly batch: number;
  /** How many times as fast as the transforms on PIL images ours is to be. */
  readonly bar: number;
  /** Of 0..255: by how much the mean and the largest pixel may differ. */
  readonly tolerance: { readonly mean: number; readonly largest: number };
}

const CASES: readonly DataCase[] = [
  {
    name: 'cifar',
    title: 'CIFAR-10: random crop (4 pixels of padding), flip, normalise',
    batch: 128,
    bar: 2,
    tolerance: { mean: 0.001, largest: 0.01 },
  },
  {
    name: 'pictures',
    title: `${PICTURES} JPEG files of 500x375: resize to 224, flip, normalise`,
    batch: 32,
    bar: 1,
    tolerance: { mean: 0.5, largest: 8 },
  },
];

export const DATA_CASES: readonly string[] = [...CASES.map(({ name }) => name), 'scale'];

export interface DataBenchOptions {
  /** Python with torch and torchvision; undefined leaves them out. */
  readonly python: string | undefined;
  /** Only these of `DATA_CASES`; none for all. */
  readonly cases: readonly string[];
  /** Where data sets and the cache are. */
  readonly environment: Environment;
}

/** Where a case's images lie, for both sides. */
interface Images {
  readonly root: string;
  readonly dataset: string;
  readonly folder: string;
  /** What is looked at pixel by pixel: sample ids, or files. */
  readonly picks: readonly (number | string)[];
}

interface Runner {
  readonly label: string;
  readonly kind: 'ours' | 'pil' | 'tensor';
  readonly peer: Peer;
}

/** @returns whether every bar that could be measured was reached */
export async function benchData(options: DataBenchOptions, out: (line: string) => void): Promise<boolean> {
  const { python, cases, environment } = options;
  const isAsked = (name: string) => cases.length === 0 || cases.includes(name);
  const hasPython = python !== undefined && existsSync(python);
  if (!hasPython) out(`PyTorch is left out: ${python === undefined ? 'no --python' : `there is no ${python}`}`);
  let isReached = true;
  for (const dataCase of CASES.filter(({ name }) => isAsked(name))) {
    const images = await imagesOf(dataCase, environment);
    for (const workers of WORKERS) {
      out(`\n${dataCase.title}; ${workers} worker${workers > 1 ? 's' : ''}, batches of ${dataCase.batch}`);
      isReached = (await benchCase(dataCase, workers, images, hasPython ? python : undefined, out)) && isReached;
    }
  }
  if (isAsked('scale')) isReached = (await benchScale(out)) && isReached;
  return isReached;
}

async function imagesOf({ name }: DataCase, environment: Environment): Promise<Images> {
  const root = dataRoot(environment);
  if (name === 'cifar') {
    const picks = Array.from({ length: PICKS }, (_, index) => index * CIFAR_STRIDE);
    return { root, dataset: 'cifar10', folder: path.join(root, 'cifar10'), picks };
  }
  const cifar = await openDataset(root, 'cifar10', { verifyContent: false });
  try {
    const cache = path.join(cacheRoot(environment), 'bench');
    await mkdir(cache, { recursive: true });
    const folder = path.join(await pictureFolder(cache, cifar), 'train');
    const picks = Array.from({ length: PICKS }, (_, id) =>
      path.join(folder, cifar.classNames[cifar.labels[id] as number] as string, `${id}.jpg`),
    );
    return { root: cache, dataset: await importPictures(path.dirname(folder)), folder, picks };
  } finally {
    await cifar.close();
  }
}

async function benchCase(
  dataCase: DataCase,
  workers: number,
  images: Images,
  python: string | undefined,
  out: (line: string) => void,
): Promise<boolean> {
  const runners: Runner[] = [];
  try {
    for await (const runner of startRunners(dataCase, workers, images, python)) runners.push(runner);
    const isSame = await compare(dataCase, images, runners, out);
    return report(dataCase, await takeTurns(runners), out) && isSame;
  } finally {
    for (const { peer } of runners) peer.stop();
  }
}

/** Yields each as it starts, so that those that run are known when one cannot. */
async function* startRunners(
  { name, batch }: DataCase,
  workers: number,
  { root, dataset, folder }: Images,
  python: string | undefined,
): AsyncGenerator<Runner> {
  const script = (file: string) => fileURLToPath(new URL(file, import.meta.url));
  const [count, size] = [String(workers), String(batch)];
  const args = ['--import=tsx', script('./ours.ts'), name, count, size, root, dataset];
  yield { label: 'ours', kind: 'ours', peer: await Peer.start('ours', process.execPath, args) };
  if (python === undefined) return;
  const theirs = [
    ['PyTorch, PIL images', 'pil'],
    ['PyTorch, tensors (transforms.v2)', 'tensor'],
  ] as const;
  for (const [label, kind] of theirs) {
    const peer = await Peer.start(label, python, [script('./torch_peer.py'), name, kind, count, size, folder]);
    yield { label, kind, peer };
  }
}

/** Whether the pixels without augmentation are those of PIL, up to the rounding of decoders. */
async function compare(
  { tolerance }: DataCase,
  { picks }: Images,
  runners: readonly Runner[],
  out: (line: string) => void,
): Promise<boolean> {
  const pixels = async (kind: Runner['kind']): Promise<Float32Array | undefined> => {
    const peer = runners.find((runner) => runner.kind === kind)?.peer;
    if (peer === undefined) return undefined;
    const { images } = await peer.ask<LookAnswer>({ call: 'look', picks } satisfies DataRequest);
    return new Float32Array(new Uint8Array(Buffer.from(images, 'base64')).buffer);
  };
  const [ours, theirs] = [await pixels('ours'), await pixels('pil')];
  if (ours === undefined || theirs === undefined) return true;
  const steps = ours.map((value, at) => Math.abs(value - (theirs[at] as number)) * 255 * (STD[at % 3] as number));
  const mean = steps.reduce((sum, step) => sum + step, 0) / steps.length;
  const largest = steps.reduce((max, step) => Math.max(max, step), 0);
  const isSame = ours.length === theirs.length && mean <= tolerance.mean && largest <= tolerance.largest;
  const said = `mean difference ${mean.toFixed(3)}, largest ${largest.toFixed(1)} of 255`;
  out(`  ${isSame ? 'the same pixels as with PIL' : 'OTHER PIXELS than with PIL'}: ${said}`);
  return isSame;
}

interface Measured {
  readonly runner: Runner;
  readonly imagesPerSecond: number;
  /** Processor time of all processes and threads, for one image. */
  readonly processorMsPerImage: number;
}

/** In turns, so that whatever else the machine does hits all of them; medians count. */
async function takeTurns(runners: readonly Runner[]): Promise<Measured[]> {
  const run = (peer: Peer, batches: number) => peer.ask<RunAnswer>({ call: 'run', batches } satisfies DataRequest);
  const turns = new Map<Runner, { batches: number; rates: number[]; processor: number[] }>();
  for (const runner of runners) {
    await run(runner.peer, WARM_BATCHES);
    const { ms } = await run(runner.peer, WARM_BATCHES);
    const batches = Math.max(WARM_BATCHES, Math.round((WARM_BATCHES * TURN_MS) / ms));
    turns.set(runner, { batches, rates: [], processor: [] });
  }
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [{ peer }, { batches, rates, processor }] of turns) {
      const beforeMs = processorMs(peer.pid);
      const { ms, images } = await run(peer, batches);
      rates.push((1000 * images) / ms);
      processor.push((processorMs(peer.pid) - beforeMs) / images);
    }
  }
  return [...turns].map(([runner, { rates, processor }]) => ({
    runner,
    imagesPerSecond: median(rates),
    processorMsPerImage: median(processor),
  }));
}

function report({ bar }: DataCase, measured: readonly Measured[], out: (line: string) => void): boolean {
  const ours = measured.find(({ runner }) => runner.kind === 'ours') as Measured;
  const rows = measured.map(({ runner, imagesPerSecond, processorMsPerImage }) => [
    runner.label,
    imagesPerSecond.toFixed(0),
    processorMsPerImage.toFixed(3),
    `${(ours.imagesPerSecond / imagesPerSecond).toFixed(2)}x`,
  ]);
  for (const line of table([['', 'images/s', 'processor ms an image', 'ours is faster'], ...rows])) out(`  ${line}`);
  const pil = measured.find(({ runner }) => runner.kind === 'pil');
  if (pil === undefined) return true;
  const reached = ours.imagesPerSecond / pil.imagesPerSecond;
  const work = `${ours.processorMsPerImage.toFixed(3)} ms of processor time an image, theirs ${pil.processorMsPerImage.toFixed(3)} ms`;
  out(
    `  ${reached >= bar ? 'reached' : 'MISSED'}: ${reached.toFixed(2)}x the DataLoader with PIL images, bar ${bar}x; ${work}`,
  );
  return reached >= bar;
}
