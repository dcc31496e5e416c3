/** The schema of `teachers[].from`: a teacher that is there already, of whatever framework. */
import { z } from 'zod';
import type { ArchitectureSpec } from '../model/architecture-choice.ts';
import type { ModelInput, TeacherSource } from './job-spec.ts';
import { block, oneOf, optional, positive, text, unionMeaning, whole } from './schema-parts.ts';

const TYPES = 'weights, onnx, saved-model, tfjs, endpoint';
const BATCH_MAX = 4096;

const colour = (each: z.ZodType<number>, meaning: string) => z.tuple([each, each, each], meaning).readonly();

interface GivenInput extends Omit<ModelInput, 'scale'> {
  readonly scale?: ModelInput['scale'] | undefined;
}

/** Bytes hold pixels as they are: on another scale they would nearly all be 0. */
function ofType(given: GivenInput, context: z.RefinementCtx): ModelInput {
  const isBytes = given.type === 'uint8';
  const { scale = isBytes ? '0..255' : '0..1' } = given;
  const changed = [...given.mean.map((mean) => mean !== 0), ...given.std.map((std) => std !== 1)];
  if (isBytes && (scale !== '0..255' || changed.includes(true))) {
    const message = 'uint8 takes pixels as they are: leave out scale, mean and std';
    context.addIssue({ code: 'custom', path: ['type'], message });
  }
  return { ...given, scale };
}

const signature = (size: z.ZodType<number>) => ({
  input: optional(
    block({
      name: text('the name of an input').optional(),
      layout: oneOf('nhwc', 'nchw').default('nhwc'),
      size: size.optional(),
      type: oneOf('float32', 'uint8').default('float32'),
      scale: oneOf('0..255', '0..1', '-1..1').optional(),
      mean: colour(z.number('a number'), 'three numbers, for red, green and blue').default([0, 0, 0]),
      std: colour(positive(), 'three numbers > 0, for red, green and blue').default([1, 1, 1]),
      batch: whole(1, BATCH_MAX).optional(),
    }).transform(ofType),
  ),
  output: optional(
    block({
      name: text('the name of an output').optional(),
      kind: oneOf('logits', 'probabilities').default('logits'),
    }),
  ),
  classNames: z.array(text('a class name'), 'a list of class names').min(2, 'at least two class names').optional(),
});

/** @param arch of the zoo's models @param size of the sides of images */
export function teacherSource(arch: z.ZodType<ArchitectureSpec>, size: z.ZodType<number>): z.ZodType<TeacherSource> {
  const shared = signature(size);
  const file = {
    path: text('a path'),
    signature: text('the name of a signature').default('serving_default'),
    ...shared,
  };
  return z.discriminatedUnion(
    'type',
    [
      block({
        type: z.literal('weights'),
        weights: text('a published model, pretrained:<name>, or a path to a file of weights'),
        arch: arch.optional(),
        inputSize: size.optional(),
      }),
      block({ type: z.literal('onnx'), ...file }),
      block({ type: z.literal('saved-model'), ...file }),
      block({ type: z.literal('tfjs'), ...file }),
      block({
        type: z.literal('endpoint'),
        url: text('grpc://host:port, grpcs://host:port, http://… or https://…').regex(
          /^(grpcs?|https?):\/\/[^\s/]/,
          'grpc://host:port, grpcs://host:port, http://… or https://…',
        ),
        model: text('the name of a model on that server'),
        version: text('a version').optional(),
        timeoutMs: whole(100, 600_000).default(30_000),
        ...shared,
      }),
    ],
    { error: unionMeaning(TYPES) },
  );
}
