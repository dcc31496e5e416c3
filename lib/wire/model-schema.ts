/** The schema of a job's teachers and students: their networks, what they start from, what of them is trained. */
import { z } from 'zod';
import type { ArchitectureSpec } from '../model/architecture-choice.ts';
import type { FineTune } from '../model/freeze.ts';
import { viewsSchema } from './data-schema.ts';
import { block, chosen, flag, fraction, isMapping, label, oneOf, text, whole } from './schema-parts.ts';

const ARCH = 'the name of an architecture, {name, dropout} or {name, layers}';

/** Layers are looked at when the model is built: what is wrong with them is then told by layer. */
const arch = chosen<ArchitectureSpec>((value): z.ZodType<ArchitectureSpec> => {
  if (!isMapping(value)) return text(ARCH);
  if ('layers' in value) {
    return z.looseObject({ name: text('a name'), layers: z.array(z.unknown(), 'a list of layers') });
  }
  return block({
    name: text('the name of an architecture'),
    dropout: fraction().lt(1, 'a number from 0 to below 1').exactOptional(),
  });
});

const fineTune = chosen<FineTune>((value) =>
  isMapping(value) ? block({ lastBlocks: whole(1) }) : oneOf('all', 'head'),
);

const init = text('a published model, pretrained:<name>, or a path to a file of weights').optional();

/** Larger images than any network here is meant for, and far below what memory holds. */
const INPUT_SIZE_MAX = 1024;

const network = {
  name: label(),
  arch,
  init,
  inputSize: whole(1, INPUT_SIZE_MAX).optional(),
  fineTune: fineTune.default('all'),
};

export function teacherSchema<T extends z.ZodType>(train: T) {
  return block({ ...network, train, views: viewsSchema.optional() });
}

/** At least two classes. */
export const classes = z
  .array(z.union([text('a class name'), whole(0)], 'a class name or a class id'), 'a list of class names or ids')
  .min(2, 'at least two classes');

export const studentSchema = block({
  ...network,
  classes: classes.optional(),
  dustbin: flag().default(false),
  dustbinShare: fraction().lt(1, 'a number from 0 to below 1').optional(),
});
