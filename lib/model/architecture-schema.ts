/**
 * Architectures that users bring: the layer list of `layers.ts` as JSON or YAML. What may be left out has PyTorch's
 * defaults: a stride of 1, no padding, a bias; a pool's stride is its size.
 */
import { z } from 'zod';
import { StillhouseError } from '../base/errors.ts';
import { checkDocument } from '../data/json-document.ts';
import type { Architecture, BlockLayer, Layer } from './layers.ts';

/** Far beyond any network for images; they keep a hostile list from taking memory before its shapes are checked. */
const SIZE_MAX = 65_536;
const NESTING_MAX = 32;
const VALUES_MAX = 200_000;

function whole(min: number) {
  const text = `expected a whole number from ${min} to ${SIZE_MAX}`;
  return z.int(text).min(min, text).max(SIZE_MAX, text);
}

function share() {
  const text = 'expected a number from 0 to below 1';
  return z.number(text).min(0, text).lt(1, text);
}

/** Parts of tensor names: letters, digits, `_` and `-`, joined by dots. */
const LAYER_NAME = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;

function layerName() {
  const text = 'expected a name of letters, digits, "_" and "-", in parts joined by "."';
  return z.string(text).max(200, text).regex(LAYER_NAME, text);
}

/** A mapping with these keys and no other. */
function mapping<T extends z.ZodRawShape>(shape: T) {
  const keys = Object.keys(shape).join(', ');
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `unknown key ${(issue.keys as string[]).map((key) => `"${key}"`).join(', ')}, expected ${keys}`
        : `expected a mapping of ${keys}`,
  });
}

const padding = z.union([whole(0), z.literal('same')], 'expected a whole number ≥ 0 or "same"').default(0);
const bias = z.boolean('expected true or false').default(true);
const stride = whole(1).exactOptional();

const window = { name: layerName(), kernel: whole(1), stride, padding, bias };

function pool<const K extends 'max-pool' | 'average-pool'>(kind: K) {
  return mapping({ kind: z.literal(kind), size: whole(1), stride, padding: whole(0).exactOptional() }).transform(
    ({ stride, ...rest }) => ({ ...rest, stride: stride ?? rest.size }),
  );
}

const plainLayers = [
  mapping({ kind: z.literal('conv2d'), filters: whole(1), ...window }),
  mapping({ kind: z.literal('depthwise-conv2d'), ...window }),
  mapping({
    kind: z.literal('batch-norm'),
    name: layerName(),
    epsilon: z.number('expected a number > 0').gt(0, 'expected a number > 0').exactOptional(),
    momentum: share().exactOptional(),
  }),
  mapping({
    kind: z.literal('linear'),
    name: layerName(),
    features: z.union([whole(1), z.literal('classes')], 'expected a whole number ≥ 1 or "classes"'),
  }),
  pool('max-pool'),
  pool('average-pool'),
  mapping({ kind: z.literal('dropout'), rate: share() }),
  mapping({ kind: z.literal('relu') }),
  mapping({ kind: z.literal('relu6') }),
  mapping({ kind: z.literal('global-average-pool') }),
  mapping({ kind: z.literal('flatten') }),
] as const;

const INNER_KINDS =
  'conv2d, depthwise-conv2d, batch-norm, linear, max-pool, average-pool, dropout, relu, relu6, global-average-pool, flatten, residual';

const innerLayers: z.ZodType<Layer[]> = z.lazy(() => z.array(innerLayer, 'expected a list of layers'));

const residual = mapping({
  kind: z.literal('residual'),
  main: innerLayers,
  shortcut: innerLayers.default([]),
  activation: z.enum(['relu', 'none'], 'expected relu or none').exactOptional(),
});

const innerLayer: z.ZodType<Layer> = z.discriminatedUnion('kind', [...plainLayers, residual], {
  error: `expected a layer whose kind is one of ${INNER_KINDS}; blocks stand only at the top`,
});

const block: z.ZodType<BlockLayer> = mapping({ kind: z.literal('block'), name: layerName(), layers: innerLayers });

const outerLayer: z.ZodType<Layer> = z.discriminatedUnion(
  'kind',
  [...plainLayers, residual, block as z.core.$ZodTypeDiscriminable & z.ZodType<BlockLayer>],
  { error: `expected a layer whose kind is one of ${INNER_KINDS}, block` },
);

const schema: z.ZodType<Architecture> = mapping({
  name: z
    .string('expected a name')
    .regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, 'expected a name of lower-case letters, digits, "." and "-", at most 63'),
  summary: z
    .string('expected one line of text')
    .max(200, 'expected at most 200 characters')
    .default('a list of layers'),
  initialisation: z.enum(['pytorch', 'kaiming-fan-out'], 'expected pytorch or kaiming-fan-out').default('pytorch'),
  layers: z.array(outerLayer, 'expected a list of layers').min(1, 'expected at least one layer'),
});

/**
 * Checks a layer list. Its JSON, parsed again, is equal to it. Whether the layers fit each other and an image is
 * `describeModel`'s to say.
 *
 * @param value as parsed from JSON or YAML
 * @param where names the document in errors, e.g. its path
 * @throws INVALID_ARGUMENT with the path in the document and what was expected there
 */
export function parseArchitecture(value: unknown, where: string): Architecture {
  requireModest(value, where);
  return checkDocument(value, schema, where);
}

/** Bounds nesting and size without recursion, before anything recursive looks at the value. */
function requireModest(root: unknown, where: string): void {
  let level: unknown[] = [root];
  let seen = 0;
  for (let depth = 0; level.length > 0; depth++) {
    seen += level.length;
    if (depth > NESTING_MAX || seen > VALUES_MAX) {
      const limits = `at most ${NESTING_MAX} levels and ${VALUES_MAX} values`;
      throw new StillhouseError('INVALID_ARGUMENT', `${where}: too large for an architecture: expected ${limits}`);
    }
    const next: unknown[] = [];
    for (const value of level) {
      if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) next.push(inner);
    }
    level = next;
  }
}
