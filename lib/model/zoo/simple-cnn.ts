import type { Architecture } from '../layers.ts';

/** The specialists' net: one convolution, one pooling, one linear layer. 41,861 parameters for five classes at 32x32. */
export const simpleCnn: Architecture = {
  name: 'simple-cnn',
  summary: 'conv 3x3 (32), ReLU, max-pool 2, linear',
  initialisation: 'pytorch',
  layers: [
    {
      kind: 'block',
      name: 'convolution',
      layers: [
        { kind: 'conv2d', name: 'conv1', filters: 32, kernel: 3, padding: 1, bias: true },
        { kind: 'relu' },
        { kind: 'max-pool', size: 2, stride: 2 },
      ],
    },
    { kind: 'flatten' },
    { kind: 'linear', name: 'fc1', features: 'classes' },
  ],
};
