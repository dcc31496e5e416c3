/** A small model's manifest and tensors, for tests of artefacts and stores. */
import { sha256 } from '../../lib/base/digest.ts';
import { createRandom } from '../../lib/base/random.ts';
import type { ModelManifest } from '../../lib/model/artefact.ts';
import type { NamedTensors } from '../../lib/model/safetensors.ts';

export const smallManifest: Omit<ModelManifest, 'weights'> = {
  formatVersion: 1,
  name: 'trees/broadleaf',
  architecture: { name: 'simple-cnn', parameters: { filters: 2, bias: true } },
  classNames: ['beech', 'ash'],
  classIds: [1, 0],
  parentClassNames: ['ash', 'beech', 'cedar'],
  input: { height: 32, width: 32, channels: 3 },
  preprocessing: { scale: '0..1', mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] },
  calibration: null,
  metrics: { testAccuracy: 0.75 },
  lineage: {
    job: 'job-1',
    jobSpecDigest: sha256('job'),
    dataset: sha256('data'),
    teacher: sha256('teacher'),
    arm: 'distil',
  },
};

export function smallTensors(seed = 1): NamedTensors {
  const random = createRandom(seed);
  const draw = (shape: readonly number[]) => {
    const length = shape.reduce((product, size) => product * size, 1);
    return { shape, values: Float32Array.from({ length }, () => random.nextNormal()) };
  };
  return new Map([
    ['conv.weight', draw([2, 3, 3, 3])],
    ['conv.bias', draw([2])],
    ['fc.weight', draw([2, 8])],
  ]);
}
