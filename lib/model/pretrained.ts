/** Weights that the set-up brings, and what they expect of images. */
import path from 'node:path';
import { StillhouseError } from '../base/errors.ts';
import type { ImageShape } from '../data/manifest.ts';
import { imagenetClasses } from './imagenet-classes.ts';
import type { ModelManifest } from './model-manifest.ts';

export type Preprocessing = Omit<ModelManifest['preprocessing'], 'scale'>;

export interface PretrainedWeights {
  readonly architecture: string;
  /** In the cache. */
  readonly file: string;
  /** SHA-256 of it. */
  readonly digest: string;
  readonly input: ImageShape;
  readonly preprocessing: Preprocessing;
  readonly classNames: readonly string[];
}

/** How torchvision's networks and most of timm's take images: mean and deviation of ImageNet's pixels. */
export const IMAGENET_PREPROCESSING: Preprocessing = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

const PRETRAINED: Readonly<Record<string, PretrainedWeights>> = {
  'efficientnet-lite0': {
    architecture: 'efficientnet-lite0',
    file: path.join('weights', 'efficientnet-lite0', 'efficientnet-lite0-57934424.pth'),
    digest: 'sha256:579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db',
    input: { height: 224, width: 224, channels: 3 },
    // (x - 127) / 128 on pixels 0..255, as the network was trained.
    preprocessing: { mean: new Array(3).fill(127 / 255), std: new Array(3).fill(128 / 255) },
    classNames: imagenetClasses,
  },
};

export const pretrainedNames: readonly string[] = Object.keys(PRETRAINED);

/** @throws StillhouseError NOT_FOUND, with the known names */
export function pretrainedNamed(name: string): PretrainedWeights {
  const found = Object.hasOwn(PRETRAINED, name) ? PRETRAINED[name] : undefined;
  if (found !== undefined) return found;
  throw new StillhouseError('NOT_FOUND', `there are no pre-trained weights "${name}"`, {
    field: name,
    hint: `known: ${pretrainedNames.join(', ')}`,
  });
}
