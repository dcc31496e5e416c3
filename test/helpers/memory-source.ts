/** Samples that a test has made, for an import: pixels in memory. */
import { StillhouseError } from '../../lib/base/errors.ts';
import type { SplitName } from '../../lib/data/manifest.ts';
import type { SampleSource } from '../../lib/data/sample-source.ts';

export interface MadeSample {
  readonly split: SplitName;
  readonly label: number;
  /** uint8 [height, width, channels]; null for a damaged sample. */
  readonly pixels: Uint8Array | null;
}

export interface MadeSamples {
  readonly classNames: readonly string[];
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
  readonly samples: readonly MadeSample[];
}

export function memorySource({ classNames, height, width, channels, samples }: MadeSamples): SampleSource {
  const whereOf = (index: number) => `made/${index}`;
  return {
    format: 'made',
    root: '',
    classNames,
    image: { height, width, channels: 3 },
    storage: { kind: 'raw', height, width, channels },
    count: samples.length,
    splitOf: (index) => (samples[index] as MadeSample).split,
    labelOf: (index) => (samples[index] as MadeSample).label,
    whereOf,
    read: async (index) => {
      const { pixels } = samples[index] as MadeSample;
      if (pixels !== null) return pixels.slice();
      throw new StillhouseError('DATA_LOSS', `${whereOf(index)} is damaged`);
    },
    close: async () => undefined,
  };
}
