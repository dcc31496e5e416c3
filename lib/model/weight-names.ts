/**
 * From the names that other projects give their tensors to the zoo's, which are torchvision's and timm's. Only names change
 * here; whether the tensors fit an architecture is found out afterwards.
 */
import { StillhouseError } from '../base/errors.ts';
import type { NamedTensor, NamedTensors } from './safetensors.ts';

/** What wrappers put before every name: DataParallel, torch.compile, Lightning and other trainers. */
const WRAPPERS = ['module.', '_orig_mod.', 'model.', 'net.'];

/**
 * Renames. Counters of batch norm (`num_batches_tracked`), which nothing here uses, are left out.
 * @throws StillhouseError INVALID_ARGUMENT when two tensors come to one name
 */
export function toZooNames(tensors: NamedTensors): NamedTensors {
  const bare = unwrap([...tensors].filter(([name]) => !name.endsWith('num_batches_tracked')));
  const rename = renamingFor(new Set(bare.map(([name]) => name)));
  const renamed = new Map<string, NamedTensor>();
  for (const [name, tensor] of bare) {
    const target = rename(name);
    if (renamed.has(target)) {
      throw new StillhouseError('INVALID_ARGUMENT', `tensor ${name} would be called ${target}, as another one is`, {
        field: name,
      });
    }
    renamed.set(target, tensor);
  }
  return renamed;
}

function unwrap(entries: readonly (readonly [string, NamedTensor])[]): readonly (readonly [string, NamedTensor])[] {
  const wrapper = WRAPPERS.find((prefix) => entries.length > 0 && entries.every(([name]) => name.startsWith(prefix)));
  if (wrapper === undefined) return entries;
  return unwrap(entries.map(([name, tensor]) => [name.slice(wrapper.length), tensor]));
}

function renamingFor(names: ReadonlySet<string>): (name: string) => string {
  if (names.has('_conv_stem.weight')) return fromEfficientNetPyTorch;
  // CIFAR ResNets of the distillation papers' repositories.
  if (names.has('layer1.0.conv1.weight')) {
    return (name) => name.replace(/^linear\./, 'fc.').replace('.shortcut.', '.downsample.');
  }
  return (name) => name;
}

/** Blocks of EfficientNet-Lite0 per stage; the names to come from count them through, timm's by stage. */
const STAGE_BLOCKS = [1, 2, 2, 3, 3, 4, 1];

const TOP_LAYERS: Readonly<Record<string, string>> = {
  _conv_stem: 'conv_stem',
  _bn0: 'bn1',
  _conv_head: 'conv_head',
  _bn1: 'bn2',
  _fc: 'classifier',
};

/** The first stage does not expand, so that timm counts its layers otherwise. */
const FIRST_STAGE_LAYERS: Readonly<Record<string, string>> = {
  _depthwise_conv: 'conv_dw',
  _bn1: 'bn1',
  _project_conv: 'conv_pw',
  _bn2: 'bn2',
};

const BLOCK_LAYERS: Readonly<Record<string, string>> = {
  _expand_conv: 'conv_pw',
  _bn0: 'bn1',
  _depthwise_conv: 'conv_dw',
  _bn1: 'bn2',
  _project_conv: 'conv_pwl',
  _bn2: 'bn3',
};

/** The names of the package efficientnet_pytorch and what derives from it → timm's. Others stay as they are. */
function fromEfficientNetPyTorch(name: string): string {
  const block = /^_blocks\.(\d+)\.(\w+)\.(\w+)$/.exec(name);
  if (block === null) {
    const [layer, tensor] = name.split('.') as [string, string | undefined];
    const renamed = TOP_LAYERS[layer];
    return renamed === undefined ? name : `${renamed}.${tensor}`;
  }
  const [, number, layer, tensor] = block as unknown as [string, string, string, string];
  let index = Number(number);
  const stage = STAGE_BLOCKS.findIndex((blocks) => {
    if (index < blocks) return true;
    index -= blocks;
    return false;
  });
  const renamed = (stage === 0 ? FIRST_STAGE_LAYERS : BLOCK_LAYERS)[layer];
  return stage === -1 || renamed === undefined ? name : `blocks.${stage}.${index}.${renamed}.${tensor}`;
}
