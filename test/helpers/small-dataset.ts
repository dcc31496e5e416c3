/** Writes small data sets in the layout of CIFAR-10, with random pixels and labels. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createRandom } from '../../lib/base/random.ts';
import {
  type DatasetManifest,
  manifestDigest,
  type OfficialManifest,
  type SplitName,
} from '../../lib/data/manifest.ts';

export const SMALL_CLASS_NAMES = ['ash', 'beech', 'cedar', 'elm'] as const;
export const RECORD_BYTES = 3073;

export interface SmallDataset {
  readonly folder: string;
  readonly manifest: OfficialManifest;
  /** The bytes of every record, by sample id: label, then channels of rows. */
  readonly records: readonly Uint8Array[];
}

/** Two training files and a test file unless told otherwise. Written to `<dataRoot>/<name>`. */
export async function writeSmallDataset(
  dataRoot: string,
  name: string,
  options: { seed?: number; files?: readonly (readonly [SplitName, number])[] } = {},
): Promise<SmallDataset> {
  const random = createRandom(options.seed ?? 1);
  const folder = path.join(dataRoot, name);
  await mkdir(folder, { recursive: true });
  const records: Uint8Array[] = [];
  const files: OfficialManifest['files'][number][] = [];
  const plan =
    options.files ??
    ([
      ['train', 7],
      ['train', 5],
      ['test', 6],
    ] as const);
  for (const [index, [split, count]] of plan.entries()) {
    const bytes = new Uint8Array(count * RECORD_BYTES);
    for (let record = 0; record < count; record++) {
      const one = bytes.subarray(record * RECORD_BYTES, (record + 1) * RECORD_BYTES);
      for (let at = 1; at < RECORD_BYTES; at++) one[at] = random.nextInt(256);
      one[0] = random.nextInt(SMALL_CLASS_NAMES.length);
      records.push(one);
    }
    const file = `part-${index}.bin`;
    await writeFile(path.join(folder, file), bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    files.push({ path: file, split, records: count, bytes: bytes.length, sha256 });
  }
  const manifest = completeManifest<OfficialManifest>({
    formatVersion: 1,
    name,
    format: 'cifar10-binary',
    classNames: SMALL_CLASS_NAMES,
    image: { height: 32, width: 32, channels: 3 },
    files,
  });
  await writeManifest(folder, manifest);
  return { folder, manifest, records };
}

/** Adds the digest. */
export function completeManifest<Manifest extends DatasetManifest>(manifest: Omit<Manifest, 'digest'>): Manifest {
  const complete = { ...manifest, digest: '' } as Manifest;
  return { ...complete, digest: manifestDigest(complete) };
}

export async function writeManifest(folder: string, manifest: DatasetManifest): Promise<void> {
  await writeFile(path.join(folder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}
