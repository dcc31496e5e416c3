/** How data sets of any size open and stream: the memory that a process takes must not depend on it. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { table } from '../../cli/text.ts';
import { manifestDigest } from '../../lib/data/manifest.ts';
import { SHARDED_VERSION, type ShardedManifest } from '../../lib/data/sharded-manifest.ts';
import { Peer } from '../step/peer.ts';

/** Samples of the data sets, in shards of so many. */
const SIZES = [100_000, 10_000_000] as const;
const SHARD_RECORDS = 1000;
const SIDE = 32;
const CLASSES = 1000;

const OPEN_SECONDS = 2;
const OPEN_MB = 200;
/** By how much more a stream may grow, from its first steps to its last, and with the size of the data set beside labels and ids. */
const GROWTH_MB = 64;

export interface ScaleAnswer {
  readonly openSeconds: number;
  /** What the process took more after opening, and after each part of its stream. */
  readonly openMb: number;
  readonly streamMb: readonly number[];
  readonly samplesPerSecond: number;
}

/** @returns whether the bars were reached */
export async function benchScale(out: (line: string) => void): Promise<boolean> {
  const root = await mkdtemp(path.join(tmpdir(), 'stillhouse-scale-'));
  try {
    const answers: ScaleAnswer[] = [];
    for (const samples of SIZES) {
      await writeEmptyDataset(path.join(root, String(samples)), samples);
      const script = fileURLToPath(new URL('./scale-peer.ts', import.meta.url));
      const args = ['--expose-gc', '--import=tsx', script, root, String(samples)];
      const peer = await Peer.start('scale', process.execPath, args);
      answers.push(await peer.ask<ScaleAnswer>({ call: 'run' }));
      peer.stop();
    }
    return report(answers, out);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

function report(answers: readonly ScaleAnswer[], out: (line: string) => void): boolean {
  out(`\nscale: shards of ${SHARD_RECORDS} images of ${SIDE}x${SIDE}, one reader thread; MB more than before opening`);
  const rows = answers.map(({ openSeconds, openMb, streamMb, samplesPerSecond }, index) => [
    String(SIZES[index]),
    openSeconds.toFixed(2),
    openMb.toFixed(0),
    streamMb.map((mb) => mb.toFixed(0)).join(' '),
    samplesPerSecond.toFixed(0),
  ]);
  for (const line of table([['samples', 'opens in s', 'MB', 'MB while streaming', 'images/s'], ...rows]))
    out(`  ${line}`);
  const { openSeconds, openMb } = answers.at(-1) as ScaleAnswer;
  const opens = openSeconds <= OPEN_SECONDS && openMb <= OPEN_MB;
  out(
    `  ${opens ? 'reached' : 'MISSED'}: opens in ${openSeconds.toFixed(2)} s and ${openMb.toFixed(0)} MB, bar ${OPEN_SECONDS} s and ${OPEN_MB} MB`,
  );
  const growths = answers.map(({ streamMb }) => (streamMb.at(-1) as number) - (streamMb[0] as number));
  const isFlat = growths.every((growth) => growth <= GROWTH_MB);
  out(
    `  ${isFlat ? 'reached' : 'MISSED'}: while it streams, memory grows by ${growths.map((mb) => mb.toFixed(0)).join(' and ')} MB, bar ${GROWTH_MB} MB`,
  );
  return opens && isFlat;
}

/** Black images in files with holes, which take no room; labels as they come. */
async function writeEmptyDataset(folder: string, samples: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  const bytes = SHARD_RECORDS * SIDE * SIDE * 3;
  const sha256 = createHash('sha256').update(new Uint8Array(bytes)).digest('hex');
  const shards: ShardedManifest['shards'][number][] = [];
  for (let number = 0; number < samples / SHARD_RECORDS; number++) {
    const shard = `train-${String(number).padStart(5, '0')}.shard`;
    const file = await open(path.join(folder, shard), 'wx');
    await file.truncate(bytes);
    await file.close();
    shards.push({ path: shard, split: 'train', records: SHARD_RECORDS, bytes, sha256 });
  }
  const labels = new Uint16Array(samples).map((_, id) => id % CLASSES);
  const content = new Uint8Array(labels.buffer);
  await writeFile(path.join(folder, 'labels.bin'), content);
  const manifest: Omit<ShardedManifest, 'digest'> = {
    formatVersion: SHARDED_VERSION,
    name: path.basename(folder),
    classNames: Array.from({ length: CLASSES }, (_, label) => `class ${label}`),
    image: { height: SIDE, width: SIDE, channels: 3 },
    storage: { kind: 'raw', height: SIDE, width: SIDE, channels: 3 },
    labels: { path: 'labels.bin', bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') },
    shards,
    badSamples: [],
    origin: { format: 'empty', seed: 0 },
  };
  const text = JSON.stringify({ ...manifest, digest: manifestDigest(manifest) });
  await writeFile(path.join(folder, 'manifest.json'), text);
}
