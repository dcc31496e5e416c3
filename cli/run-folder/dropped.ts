/** What the epochs of a job's trainings have left out, as files that people can read. */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { uniqueId } from '../../lib/base/random.ts';
import { type DroppedSamples, loadDropped } from '../../lib/checkpoint/dropped.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Job } from '../coordinator-client.ts';
import { phaseFolder } from './phase-changes.ts';

/**
 * Writes `<folder>/<phase>.json` for every training whose epochs drop their tails; without any there is no folder. The folder
 * appears when all of them are in it.
 *
 * @returns how many images each epoch has left out, by the digests of the lists
 * @throws what `loadDropped` throws
 */
export async function saveDropped(
  objects: ObjectStore,
  { phases }: Job,
  folder: string,
): Promise<Map<string, number[]>> {
  const counts = new Map<string, number[]>();
  const listed = phases.filter(({ droppedDigest }) => droppedDigest !== '');
  if (listed.length === 0) return counts;
  const draft = `${folder}.${uniqueId('draft')}`;
  try {
    await mkdir(draft, { recursive: true });
    for (const phase of listed) {
      const dropped = await loadDropped(objects, phase.droppedDigest);
      await writeFile(join(draft, `${phaseFolder(phase)}.json`), textOf(dropped));
      counts.set(
        phase.droppedDigest,
        dropped.epochs.map(({ length }) => length),
      );
    }
    await rm(folder, { recursive: true, force: true });
    await rename(draft, folder);
    return counts;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** JSON with an epoch per line; epochs count from 1. */
function textOf({ datasetDigest, epochs }: DroppedSamples): string {
  const lines = epochs.map((ids, index) => `    "${index + 1}": [${ids.join(', ')}]`);
  return `{\n  "datasetDigest": ${JSON.stringify(datasetDigest)},\n  "epochs": {\n${lines.join(',\n')}\n  }\n}\n`;
}
