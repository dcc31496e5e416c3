/** What the step benchmark measures, and by how much ours is to be faster. */
import { describeModel, type ModelSpec } from '../../lib/model/parameters.ts';
import { architectureNamed } from '../../lib/model/zoo.ts';
import type { StepCase } from './protocol.ts';

export interface Bar {
  readonly over: 'eager' | 'pytorch';
  readonly ratio: number;
}

export interface BenchCase extends StepCase {
  readonly bars: readonly Bar[];
}

export const CASES: readonly BenchCase[] = [
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

export const NETS: readonly string[] = [...new Set(CASES.map(({ net }) => net))];

export function modelOf({ net, size, classes }: StepCase): ModelSpec {
  return describeModel(architectureNamed(net), { height: size, width: size, channels: 3 }, classes);
}
