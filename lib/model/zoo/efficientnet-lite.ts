import type { Architecture, BlockLayer, Layer } from '../layers.ts';

/** Of TensorFlow's EfficientNets, from which the published weights come; momentum in PyTorch's meaning. */
const NORM = { epsilon: 1e-3, momentum: 0.01 };

interface Stage {
  readonly blocks: number;
  readonly kernel: number;
  readonly stride: number;
  /** Width inside the block, relative to what comes in. */
  readonly expansion: number;
  readonly filters: number;
}

/** EfficientNet-B0's stages (Tan and Le 2019, table 1). */
const STAGES: readonly Stage[] = [
  { blocks: 1, kernel: 3, stride: 1, expansion: 1, filters: 16 },
  { blocks: 2, kernel: 3, stride: 2, expansion: 6, filters: 24 },
  { blocks: 2, kernel: 5, stride: 2, expansion: 6, filters: 40 },
  { blocks: 3, kernel: 3, stride: 2, expansion: 6, filters: 80 },
  { blocks: 3, kernel: 5, stride: 1, expansion: 6, filters: 112 },
  { blocks: 4, kernel: 5, stride: 2, expansion: 6, filters: 192 },
  { blocks: 1, kernel: 3, stride: 1, expansion: 6, filters: 320 },
];

/**
 * EfficientNet-Lite0 (Tan and Le 2019; Lite: no squeeze-and-excitation, ReLU6), with timm's names of
 * `tf_efficientnet_lite0`. 4,652,008 parameters for 1000 classes.
 */
export const efficientnetLite0: Architecture = {
  name: 'efficientnet-lite0',
  summary: 'EfficientNet-Lite0, for images of about 224x224',
  initialisation: 'kaiming-fan-out',
  layers: [
    ...convolution('conv_stem', 'bn1', 32, 3, 2),
    { kind: 'relu6' },
    ...stages(32),
    { kind: 'block', name: 'conv_head', layers: [...convolution('conv_head', 'bn2', 1280, 1), { kind: 'relu6' }] },
    { kind: 'global-average-pool' },
    { kind: 'dropout', rate: 0.2 },
    { kind: 'linear', name: 'classifier', features: 'classes' },
  ],
};

function stages(stem: number): BlockLayer[] {
  let channels = stem;
  return STAGES.flatMap((stage, number) =>
    Array.from({ length: stage.blocks }, (_, block) => {
      const stride = block === 0 ? stage.stride : 1;
      const layer = invertedResidual(`blocks.${number}.${block}`, channels, { ...stage, stride });
      channels = stage.filters;
      return layer;
    }),
  );
}

/** Expand, filter each channel, project (Sandler et al. 2018, MobileNetV2). */
function invertedResidual(name: string, channels: number, stage: Stage): BlockLayer {
  const { kernel, stride, expansion, filters } = stage;
  const depthwise = (norm: string): Layer[] => [
    { kind: 'depthwise-conv2d', name: `${name}.conv_dw`, kernel, stride, padding: 'same', bias: false },
    { kind: 'batch-norm', name: `${name}.${norm}`, ...NORM },
    { kind: 'relu6' },
  ];
  const main: Layer[] =
    expansion === 1
      ? [...depthwise('bn1'), ...convolution(`${name}.conv_pw`, `${name}.bn2`, filters, 1)]
      : [
          ...convolution(`${name}.conv_pw`, `${name}.bn1`, expansion * channels, 1),
          { kind: 'relu6' },
          ...depthwise('bn2'),
          ...convolution(`${name}.conv_pwl`, `${name}.bn3`, filters, 1),
        ];
  const isResidual = stride === 1 && channels === filters;
  const layers: Layer[] = isResidual ? [{ kind: 'residual', main, shortcut: [], activation: 'none' }] : main;
  return { kind: 'block', name, layers };
}

function convolution(name: string, norm: string, filters: number, kernel: number, stride = 1): Layer[] {
  return [
    { kind: 'conv2d', name, filters, kernel, stride, padding: 'same', bias: false },
    { kind: 'batch-norm', name: norm, ...NORM },
  ];
}
