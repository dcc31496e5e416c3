import type { Architecture, Layer } from '../layers.ts';

/**
 * ResNets for 32x32 images (He et al. 2016, section 4.2): 6n+2 layers, three stages of n basic blocks with 16, 32 and 64
 * filters. Shortcuts that change shape are 1x1 convolutions, as in the knowledge-distillation papers' repositories.
 */
export function cifarResnet(depth: number): Architecture {
  const blocks = (depth - 2) / 6;
  const layers: Layer[] = [
    { kind: 'conv2d', name: 'conv1', filters: 16, kernel: 3, padding: 1, bias: false },
    { kind: 'batch-norm', name: 'bn1' },
    { kind: 'relu' },
  ];
  let channels = 16;
  for (const [stage, filters] of [16, 32, 64].entries()) {
    for (let block = 0; block < blocks; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1;
      layers.push(basicBlock(`layer${stage + 1}.${block}`, channels, filters, stride));
      channels = filters;
    }
  }
  layers.push({ kind: 'global-average-pool' }, { kind: 'linear', name: 'fc', features: 'classes' });
  return {
    name: `resnet-${depth}`,
    summary: `CIFAR ResNet, ${depth} layers, 16/32/64 filters`,
    initialisation: 'kaiming-fan-out',
    layers,
  };
}

function basicBlock(name: string, channels: number, filters: number, stride: number): Layer {
  const shapeChanges = stride !== 1 || channels !== filters;
  return {
    kind: 'residual',
    main: [
      { kind: 'conv2d', name: `${name}.conv1`, filters, kernel: 3, stride, padding: 1, bias: false },
      { kind: 'batch-norm', name: `${name}.bn1` },
      { kind: 'relu' },
      { kind: 'conv2d', name: `${name}.conv2`, filters, kernel: 3, padding: 1, bias: false },
      { kind: 'batch-norm', name: `${name}.bn2` },
    ],
    shortcut: shapeChanges
      ? [
          { kind: 'conv2d', name: `${name}.downsample.0`, filters, kernel: 1, stride, padding: 0, bias: false },
          { kind: 'batch-norm', name: `${name}.downsample.1` },
        ]
      : [],
  };
}
