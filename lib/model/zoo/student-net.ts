import type { Architecture } from '../layers.ts';

/** A student for a large teacher: all but 120 of its 100,474 parameters, for two classes at 224x224, are the linear layer's. */
export const studentNet: Architecture = {
  name: 'student-net',
  summary: 'conv 3x3 (4), batch norm, ReLU, max-pool 2, linear; 100k parameters for 2 classes',
  initialisation: 'pytorch',
  layers: [
    {
      kind: 'block',
      name: 'layer1',
      layers: [
        { kind: 'conv2d', name: 'layer1.0', filters: 4, kernel: 3, padding: 1, bias: true },
        { kind: 'batch-norm', name: 'layer1.1' },
        { kind: 'relu' },
        { kind: 'max-pool', size: 2, stride: 2 },
      ],
    },
    { kind: 'flatten' },
    { kind: 'linear', name: 'fc', features: 'classes' },
  ],
};
