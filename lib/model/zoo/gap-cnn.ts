import type { Architecture } from '../layers.ts';

/** A student whose size does not depend on the image's: its features are means over the whole image. */
export const gapCnn: Architecture = {
  name: 'gap-cnn',
  summary: 'conv 3x3 (64), ReLU, max-pool 2, global average pool, linear',
  initialisation: 'pytorch',
  layers: [
    {
      kind: 'block',
      name: 'student_model',
      layers: [
        { kind: 'conv2d', name: 'student_model.0', filters: 64, kernel: 3, padding: 1, bias: true },
        { kind: 'relu' },
        { kind: 'max-pool', size: 2, stride: 2 },
      ],
    },
    { kind: 'global-average-pool' },
    { kind: 'linear', name: 'fc', features: 'classes' },
  ],
};
