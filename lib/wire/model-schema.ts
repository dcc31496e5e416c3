/** The schema of a job's teachers and students: their networks, what they start from, what of them is trained. */
import { z } from 'zod';
import type { ArchitectureSpec } from '../model/architecture-choice.ts';
import type { FineTune } from '../model/freeze.ts';
import { classes } from './class-list-schema.ts';
import { viewsSchema } from './data-schema.ts';
import type { TeacherSpec } from './job-spec.ts';
import { block, chosen, flag, fraction, isMapping, label, oneOf, text, whole } from './schema-parts.ts';
import { teacherSource } from './teacher-source-schema.ts';

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

/** A teacher that the job trains, or with `from` one that is there already. */
export function teacherSchema<T extends z.ZodType>(train: T) {
  const views = viewsSchema.optional();
  const given = block({ name: label(), from: teacherSource(arch, whole(1, INPUT_SIZE_MAX)), views });
  const trained = block({ ...network, from: z.undefined('left out').optional(), train, views });
  return chosen((value) => (isMapping(value) && value.from !== undefined ? given : trained) as z.ZodType<TeacherSpec>);
}

export const studentSchema = block({
  ...network,
  classes: classes.optional(),
  dustbin: flag().default(false),
  dustbinShare: fraction().lt(1, 'a number from 0 to below 1').optional(),
  teachers: z.array(label(), 'a list of names').min(1, 'at least one name').optional(),
  assistant: flag().default(false),
});
