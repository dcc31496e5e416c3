/** The architectures that a job file can name. */
import { StillhouseError } from '../base/errors.ts';
import type { Architecture } from './layers.ts';
import { cifarResnet } from './zoo/cifar-resnet.ts';
import { simpleCnn } from './zoo/simple-cnn.ts';

const architectures: readonly Architecture[] = [simpleCnn, ...[8, 14, 20, 32, 56].map(cifarResnet)];

export const architectureNames: readonly string[] = architectures.map(({ name }) => name);

/** @throws NOT_FOUND, with the known names */
export function architectureNamed(name: string): Architecture {
  const found = architectures.find((architecture) => architecture.name === name);
  if (found !== undefined) return found;
  throw new StillhouseError('NOT_FOUND', `there is no architecture "${name}"; known: ${architectureNames.join(', ')}`);
}
