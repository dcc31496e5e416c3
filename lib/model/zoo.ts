/** The architectures that a job file can name. */
import { StillhouseError } from '../base/errors.ts';
import type { Architecture } from './layers.ts';
import { cifarResnet, cifarResnetX4 } from './zoo/cifar-resnet.ts';
import { efficientnetLite0 } from './zoo/efficientnet-lite.ts';
import { gapCnn } from './zoo/gap-cnn.ts';
import { imagenetResnet } from './zoo/imagenet-resnet.ts';
import { simpleCnn } from './zoo/simple-cnn.ts';
import { studentNet } from './zoo/student-net.ts';

const imagenetResnets = ([18, 34, 50] as const).map(imagenetResnet);

const architectures: readonly Architecture[] = [
  simpleCnn,
  studentNet,
  gapCnn,
  ...[8, 14, 20, 32, 56].map(cifarResnet),
  ...[8, 32].map(cifarResnetX4),
  ...imagenetResnets,
  efficientnetLite0,
];

/** Published with weights of ImageNet. */
const imagenetNames: ReadonlySet<string> = new Set([...imagenetResnets, efficientnetLite0].map(({ name }) => name));

const IMAGENET_SIDE = 224;
const CIFAR_SIDE = 32;

export const architectureNames: readonly string[] = architectures.map(({ name }) => name);

/** Names with their summaries, for listings. */
export const architectureSummaries: readonly { readonly name: string; readonly summary: string }[] = architectures.map(
  ({ name, summary }) => ({ name, summary }),
);

/** Whether an architecture's weights usually come from ImageNet; false for names that are not in the zoo. */
export function isForImagenet(name: string): boolean {
  return imagenetNames.has(name);
}

/** Height and width at which an architecture is commonly used. */
export function usualInputSize(name: string): number {
  return isForImagenet(name) || name === studentNet.name ? IMAGENET_SIDE : CIFAR_SIDE;
}

/** @throws NOT_FOUND, with the known names */
export function architectureNamed(name: string): Architecture {
  const found = architectures.find((architecture) => architecture.name === name);
  if (found !== undefined) return found;
  throw new StillhouseError('NOT_FOUND', `there is no architecture "${name}"; known: ${architectureNames.join(', ')}`);
}

/** An architecture of the zoo and what can be changed about it. */
export interface ArchitectureChoice {
  readonly name: string;
  /** Rate of the dropout before the classifier, in [0, 1); default as the architecture is published. */
  readonly dropout?: number;
}

/** @throws NOT_FOUND for an unknown name; INVALID_ARGUMENT for a rate that is none */
export function buildArchitecture({ name, dropout }: ArchitectureChoice): Architecture {
  const architecture = architectureNamed(name);
  return dropout === undefined ? architecture : withDropout(architecture, dropout);
}

/**
 * The architecture with dropout right before its classifier, in place of what is there.
 * @param rate in [0, 1); 0 for none
 * @throws INVALID_ARGUMENT for another rate, or when no linear layer comes last
 */
export function withDropout(architecture: Architecture, rate: number): Architecture {
  if (!(rate >= 0 && rate < 1)) {
    throw new StillhouseError('INVALID_ARGUMENT', `dropout is ${rate}, expected 0 to below 1`, { field: 'dropout' });
  }
  const { layers } = architecture;
  const classifier = layers.at(-1);
  if (classifier?.kind !== 'linear') {
    throw new StillhouseError('INVALID_ARGUMENT', `${architecture.name} does not end in a linear layer`, {
      field: 'dropout',
      hint: 'put dropout into its list of layers',
    });
  }
  const before = layers.slice(0, -1);
  if (before.at(-1)?.kind === 'dropout') before.pop();
  return {
    ...architecture,
    layers: [...before, ...(rate > 0 ? [{ kind: 'dropout', rate } as const] : []), classifier],
  };
}
