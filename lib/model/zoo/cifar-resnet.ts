import type { Architecture, Layer } from '../layers.ts';
import { basicBlock, convolutionNorm } from './residual-blocks.ts';

/**
 * ResNets for 32x32 images (He et al. 2016, section 4.2): 6n+2 layers, three stages of n basic blocks with 16, 32 and 64
 * filters. Shortcuts that change shape are 1x1 convolutions, as in the knowledge-distillation papers' repositories.
 */
export function cifarResnet(depth: number): Architecture {
  return stages(`resnet-${depth}`, depth, 16, [16, 32, 64]);
}

/** The wide ones of the knowledge-distillation papers (Tian et al. 2020, arXiv:1910.10699): 64, 128 and 256 filters. */
export function cifarResnetX4(depth: number): Architecture {
  return stages(`resnet-${depth}x4`, depth, 32, [64, 128, 256]);
}

function stages(name: string, depth: number, stem: number, widths: readonly number[]): Architecture {
  const layers: Layer[] = [...convolutionNorm(['conv1', 'bn1'], stem, 3), { kind: 'relu' }];
  let channels = stem;
  for (const [stage, filters] of widths.entries()) {
    for (let block = 0; block < (depth - 2) / 6; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1;
      layers.push(basicBlock(`layer${stage + 1}.${block}`, { channels, filters, stride }));
      channels = filters;
    }
  }
  layers.push({ kind: 'global-average-pool' }, { kind: 'linear', name: 'fc', features: 'classes' });
  return {
    name,
    summary: `CIFAR ResNet, ${depth} layers, ${widths.join('/')} filters`,
    initialisation: 'kaiming-fan-out',
    layers,
  };
}
