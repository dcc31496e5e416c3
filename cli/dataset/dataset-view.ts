/** What a data set is, for people and for programs. Pure. */
import type { BadSample, ChannelStatistics, Dataset } from '../../lib/data/dataset.ts';
import { type DatasetManifest, type ImageShape, type SplitName, sampleFiles } from '../../lib/data/manifest.ts';
import type { SampleStorage } from '../../lib/data/sample-source.ts';
import { byteSize, counted, grouped, table } from '../text.ts';

/** What the manifest alone tells. */
export interface DatasetSummary {
  readonly name: string;
  /** The folder, or the address. */
  readonly address: string;
  readonly digest: string;
  /** The format that it was imported from; `cifar10-binary` where the official files lie in place. */
  readonly format: string;
  /** What it was made from; null for real data. */
  readonly synthetic: string | null;
  /** Bad samples not among them. */
  readonly images: number;
  readonly image: ImageShape;
  /** Null where official files lie in place. */
  readonly storage: SampleStorage | null;
  readonly classNames: readonly string[];
  /** Files of samples. */
  readonly shards: number;
  /** Of all files. */
  readonly bytes: number;
  readonly statistics: ChannelStatistics | null;
  readonly badSamples: readonly BadSample[];
}

export interface ClassCount {
  readonly name: string;
  readonly train: number;
  readonly test: number;
}

export interface SampleInfo {
  readonly id: number;
  readonly split: SplitName | null;
  readonly class: string;
  /** What is wrong with it; null for a good one. */
  readonly problem: string | null;
}

export interface DatasetInfo extends DatasetSummary {
  readonly splits: Readonly<Record<SplitName, number>>;
  readonly classes: readonly ClassCount[];
}

export function summarise(manifest: DatasetManifest, address: string): DatasetSummary {
  const { name, digest, image, classNames } = manifest;
  const files = sampleFiles(manifest);
  const sharded = manifest.formatVersion === 1 ? undefined : manifest;
  const badSamples = sharded?.badSamples ?? [];
  return {
    name,
    address,
    digest,
    format: manifest.formatVersion === 1 ? manifest.format : manifest.origin.format,
    synthetic: sharded?.origin.synthetic ?? null,
    images: files.reduce((sum, { records }) => sum + records, 0) - badSamples.length,
    image,
    storage: sharded?.storage ?? null,
    classNames,
    shards: files.length,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, sharded?.labels.bytes ?? 0),
    statistics: sharded?.statistics ?? null,
    badSamples,
  };
}

/** @param dataset the one that the manifest describes */
export function describeDataset(manifest: DatasetManifest, dataset: Dataset, address: string): DatasetInfo {
  const ids = { train: dataset.idsOf('train'), test: dataset.idsOf('test') };
  const counts = { train: countsOf(dataset, ids.train), test: countsOf(dataset, ids.test) };
  return {
    ...summarise(manifest, address),
    splits: { train: ids.train.length, test: ids.test.length },
    classes: dataset.classNames.map((name, index) => ({
      name,
      train: counts.train[index] as number,
      test: counts.test[index] as number,
    })),
  };
}

function countsOf({ labels, classNames }: Dataset, ids: Uint32Array): Uint32Array {
  const counts = new Uint32Array(classNames.length);
  for (const id of ids) {
    const label = labels[id] as number;
    counts[label] = (counts[label] as number) + 1;
  }
  return counts;
}

/** @param ids all below the number of samples */
export function describeSamples(dataset: Dataset, ids: readonly number[]): SampleInfo[] {
  const splits = (['train', 'test'] as const).map((split) => ({ split, ids: new Set(dataset.idsOf(split)) }));
  return ids.map((id) => ({
    id,
    split: splits.find((candidate) => candidate.ids.has(id))?.split ?? null,
    class: dataset.classNames[dataset.labels[id] as number] as string,
    problem: dataset.badSamples.find((bad) => bad.id === id)?.reason ?? null,
  }));
}

export function listLines(summaries: readonly DatasetSummary[]): string[] {
  const head = ['NAME', 'IMAGES', 'CLASSES', 'SIZE', 'ON DISK', 'BAD', 'FORMAT', 'DIGEST'];
  const rows = summaries.map((summary) => {
    const { name, images, classNames, image, bytes, badSamples, digest } = summary;
    const numbers = [grouped(images), grouped(classNames.length), `${image.height}x${image.width}`, byteSize(bytes)];
    return [name, ...numbers, grouped(badSamples.length), formatOf(summary), digest.slice(0, DIGEST_SHOWN)];
  });
  return table([head, ...rows]);
}

/** `sha256:` and 12 digits. */
const DIGEST_SHOWN = 19;
/** Classes beyond that are counted only. */
const CLASSES_SHOWN = 50;
const BAD_SAMPLES_SHOWN = 20;

/** Never without the word where it is true. */
function formatOf({ format, synthetic }: DatasetSummary): string {
  return synthetic === null ? format : `${format} (synthetic)`;
}

export function infoLines(info: DatasetInfo): string[] {
  const { name, address, digest, image, splits, shards, bytes, synthetic, statistics, badSamples } = info;
  const facts: [string, string][] = [
    ['at', address],
    ['digest', digest],
    ['format', formatOf(info)],
    ...(synthetic === null ? [] : [['synthetic', synthetic] as [string, string]]),
    ['images', `${grouped(splits.train)} train, ${grouped(splits.test)} test; ${image.height}x${image.width} RGB`],
    ['storage', storageText(info)],
    ['on disk', `${byteSize(bytes)} in ${counted(shards, info.storage === null ? 'file' : 'shard')}`],
    ['mean', statistics === null ? 'not computed (import --statistics does)' : digits(statistics.mean)],
    ...(statistics === null ? [] : [['std', digits(statistics.std)] as [string, string]]),
    ['bad samples', badSamples.length === 0 ? 'none' : grouped(badSamples.length)],
  ];
  return [
    name,
    ...facts.map(([label, text]) => `  ${label.padEnd(11)}  ${text}`),
    ...badLines(badSamples),
    ...classLines(info.classes),
  ];
}

function storageText({ storage }: DatasetSummary): string {
  if (storage === null) return 'official files in place';
  if (storage.kind === 'raw') return `pixels, ${storage.channels === 1 ? 'grey' : 'RGB'}`;
  return `image files as they were, ${storage.fit === 'crop' ? 'scaled and cropped' : 'squashed'} when read`;
}

function digits(values: readonly number[]): string {
  return values.map((value) => value.toFixed(4)).join(', ');
}

function badLines(badSamples: readonly BadSample[]): string[] {
  const lines = badSamples
    .slice(0, BAD_SAMPLES_SHOWN)
    .map(({ id, source, reason }) => `    ${id}  ${source}: ${reason}`);
  const left = badSamples.length - lines.length;
  return left > 0 ? [...lines, `    and ${grouped(left)} more (--json lists them)`] : lines;
}

function classLines(classes: readonly ClassCount[]): string[] {
  const rows = classes
    .slice(0, CLASSES_SHOWN)
    .map(({ name, train, test }, index) => [String(index), name, grouped(train), grouped(test)]);
  const left = classes.length - rows.length;
  return [
    ...table([['CLASS', 'NAME', 'TRAIN', 'TEST'], ...rows]).map((line) => `  ${line}`),
    ...(left > 0 ? [`  and ${grouped(left)} more (--json lists them)`] : []),
  ];
}

export function sampleLines(samples: readonly SampleInfo[]): string[] {
  const rows = samples.map(({ id, split, class: name, problem }) => [
    String(id),
    split ?? '-',
    name,
    problem ?? 'good',
  ]);
  return table([['SAMPLE', 'SPLIT', 'CLASS', 'STATE'], ...rows]).map((line) => `  ${line}`);
}
