import type { Architecture, Layer } from '../layers.ts';
import { BOTTLENECK_EXPANSION, basicBlock, bottleneckBlock, convolutionNorm } from './residual-blocks.ts';

/** Residual blocks per stage (He et al. 2016, table 1). */
const BLOCKS = {
  18: { kind: 'basic', blocks: [2, 2, 2, 2] },
  34: { kind: 'basic', blocks: [3, 4, 6, 3] },
  50: { kind: 'bottleneck', blocks: [3, 4, 6, 3] },
} as const;

/** torchvision's ResNets (He et al. 2016, section 4.1); in ResNet-50 the 3x3 convolutions stride ("v1.5"). */
export function imagenetResnet(depth: keyof typeof BLOCKS): Architecture {
  const { kind, blocks } = BLOCKS[depth];
  const expansion = kind === 'basic' ? 1 : BOTTLENECK_EXPANSION;
  const residual = kind === 'basic' ? basicBlock : bottleneckBlock;
  const layers: Layer[] = [
    ...convolutionNorm(['conv1', 'bn1'], 64, 7, 2),
    { kind: 'relu' },
    { kind: 'max-pool', size: 3, stride: 2, padding: 1 },
  ];
  let channels = 64;
  for (const [stage, count] of blocks.entries()) {
    const filters = 64 * 2 ** stage;
    for (let block = 0; block < count; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1;
      layers.push(residual(`layer${stage + 1}.${block}`, { channels, filters, stride }));
      channels = expansion * filters;
    }
  }
  layers.push({ kind: 'global-average-pool' }, { kind: 'linear', name: 'fc', features: 'classes' });
  return {
    name: `resnet-${depth}`,
    summary: `torchvision's ResNet-${depth}, for images of about 224x224`,
    initialisation: 'kaiming-fan-out',
    layers,
  };
}
