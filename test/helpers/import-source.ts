/** Samples in memory, for imports: pictures and pixels made by the test. */
import { StillhouseError } from '../../lib/base/errors.ts';
import type { SplitName } from '../../lib/data/manifest.ts';
import type { SampleSource, SampleStorage } from '../../lib/data/sample-source.ts';

export interface MemorySample {
  readonly split: SplitName;
  readonly label: number;
  /** Null for a damaged sample. */
  readonly bytes: Uint8Array | null;
}

export function importSource(
  samples: readonly MemorySample[],
  storage: SampleStorage,
  options: { size?: number; classNames?: readonly string[] } = {},
): SampleSource {
  const size = storage.kind === 'raw' ? storage : { height: options.size ?? 8, width: options.size ?? 8 };
  const sampleAt = (index: number) => samples[index] as MemorySample;
  const whereOf = (index: number) => `memory.bin at offset ${100 * index}`;
  return {
    format: 'memory',
    root: '',
    classNames: options.classNames ?? ['ash', 'beech', 'cedar'],
    image: { height: size.height, width: size.width, channels: 3 },
    storage,
    count: samples.length,
    splitOf: (index) => sampleAt(index).split,
    labelOf: (index) => sampleAt(index).label,
    whereOf,
    read: async (index) => {
      const { bytes } = sampleAt(index);
      if (bytes !== null) return bytes.slice();
      throw new StillhouseError('DATA_LOSS', `${whereOf(index)} is damaged`);
    },
    close: async () => undefined,
  };
}
