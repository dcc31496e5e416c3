/** Models with random weights and statistics, for tests of what computes or converts them. */
import { createRandom, hashName } from '../../lib/base/random.ts';
import type { ImageShape } from '../../lib/data/manifest.ts';
import { tf } from '../../lib/engine/tf.ts';
import type { ArchitectureSpec } from '../../lib/model/architecture-choice.ts';
import {
  type DecodedArtefact,
  decodeArtefact,
  type EncodedArtefact,
  encodeArtefact,
} from '../../lib/model/artefact.ts';
import { forward } from '../../lib/model/forward.ts';
import type { Architecture } from '../../lib/model/layers.ts';
import { manifestArchitecture } from '../../lib/model/manifest-network.ts';
import { describeModel, exportTensors, initialParameters, type ModelSpec } from '../../lib/model/parameters.ts';
import type { NamedTensors } from '../../lib/model/safetensors.ts';
import { smallManifest } from './small-model.ts';

export const PREPROCESSING = { scale: '0..1', mean: [0.49, 0.48, 0.45], std: [0.25, 0.24, 0.26] } as const;

export interface RandomModel {
  readonly spec: ModelSpec;
  /** In memory layout. */
  readonly parameters: Float32Array;
  readonly statistics: Float32Array;
  /** The same in PyTorch's layout. */
  readonly tensors: NamedTensors;
}

/** Initial weights, with scales, offsets and moving statistics away from 0 and 1. */
export function randomModel(architecture: Architecture, input: ImageShape, classes: number, seed: number): RandomModel {
  const spec = describeModel(architecture, input, classes);
  const random = createRandom(seed, hashName('random model'));
  const parameters = initialParameters(spec, seed);
  let offset = 0;
  for (const { size, role } of spec.parameters) {
    const isNorm = role === 'scale' || role === 'offset';
    for (let at = offset; isNorm && at < offset + size; at++) {
      parameters[at] = (parameters[at] as number) + 0.2 * random.nextNormal();
    }
    offset += size;
  }
  const statistics = new Float32Array(spec.statisticCount);
  offset = 0;
  for (const { size, role } of spec.statistics) {
    const draw = () => (role === 'running-variance' ? 0.5 + random.nextFloat() : 0.2 * random.nextNormal());
    statistics.set(Float32Array.from({ length: size }, draw), offset);
    offset += size;
  }
  return { spec, parameters, statistics, tensors: exportTensors(spec, parameters, statistics) };
}

/** What our own engine computes, [count, classes]. @param images [count, height, width, channels], RGB 0..255 */
export function ownLogits({ spec, parameters, statistics }: RandomModel, images: Float32Array): Float32Array {
  const { height, width, channels } = spec.input;
  return tf.tidy(() => {
    const cut = (specs: ModelSpec['parameters'], flat: Float32Array) => {
      let offset = 0;
      return specs.map(({ name, shape, size }) => {
        offset += size;
        return [name, tf.tensor(flat.slice(offset - size, offset), [...shape])] as const;
      });
    };
    const tensors = new Map([...cut(spec.parameters, parameters), ...cut(spec.statistics, statistics)]);
    const pixels = tf.tensor4d(images, [images.length / (height * width * channels), height, width, channels]);
    const input = tf.div(tf.sub(tf.div(pixels, 255), [...PREPROCESSING.mean]), [...PREPROCESSING.std]);
    return forward(spec, tensors, input, { training: false }).logits.dataSync() as Float32Array;
  });
}

export function randomImages(input: ImageShape, count: number, seed: number): Float32Array {
  const random = createRandom(seed, hashName('random images'));
  const length = count * input.height * input.width * input.channels;
  return Float32Array.from({ length }, () => random.nextInt(256));
}

/**
 * As a model artefact of a data set with these classes. A model with one output more has a dustbin.
 * @param images of the data set @param architecture as a job names it
 */
export function artefactOf(
  { spec, tensors }: RandomModel,
  classNames: readonly string[],
  images: ImageShape = spec.input,
  architecture: ArchitectureSpec = spec.architecture.name,
): EncodedArtefact {
  return encodeArtefact(
    {
      ...smallManifest,
      name: `random/${spec.architecture.name}`,
      architecture: manifestArchitecture(architecture, spec.input, images),
      classNames,
      classIds: classNames.map((_, index) => index),
      ...(spec.classes === classNames.length + 1 ? { dustbin: true } : {}),
      parentClassNames: classNames,
      input: images,
      preprocessing: { ...PREPROCESSING, mean: [...PREPROCESSING.mean], std: [...PREPROCESSING.std] },
    },
    tensors,
  );
}

export function decoded({ manifestBytes, weightsBytes, digest }: EncodedArtefact): DecodedArtefact {
  return decodeArtefact(manifestBytes, weightsBytes, digest);
}

/** ‖actual − expected‖ / ‖expected‖. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0;
  let size = 0;
  for (let index = 0; index < expected.length; index++) {
    difference += ((actual[index] as number) - (expected[index] as number)) ** 2;
    size += (expected[index] as number) ** 2;
  }
  return actual.length === expected.length ? Math.sqrt(difference / size) : Number.POSITIVE_INFINITY;
}
