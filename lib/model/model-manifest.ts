/** `model.json`: what a model is, what it computes, where it came from, and which weights belong to it. */
import { z } from 'zod';
import { StillhouseError } from '../base/errors.ts';
import { decodeUtf8, digestSchema, parseJsonDocument } from '../data/json-document.ts';
import type { LayerList } from './architecture-choice.ts';

/** A model that a job has trained. */
export interface TrainedLineage {
  readonly arm: 'teacher' | 'distil' | 'control';
  /** The job's id. */
  readonly job: string;
  /** Digest of the job file with all defaults filled in. */
  readonly jobSpecDigest: string;
  /** Digest of the data set. */
  readonly dataset: string;
  /** Digest of the teacher, of the first one where there were several; null where there was none. A trained one's is its artefact's. */
  readonly teacher: string | null;
  /** Of all teachers, in the job file's order, where there were several. */
  readonly teachers?: readonly string[];
}

/** A model whose weights came from elsewhere. */
export interface ImportedLineage {
  readonly arm: 'imported';
  readonly source: {
    /** The file's name, without its folder. */
    readonly file: string;
    /** Of the file, as it was. */
    readonly digest: string;
  };
}

export interface ModelManifest {
  readonly formatVersion: 1;
  /** `<job name>/<student name>`, or what an imported model was called. */
  readonly name: string;
  /** A name in the zoo, and what it was built with. */
  readonly architecture: {
    readonly name: string;
    /** `dropout`: the changed rate; `inputSize`: height and width to which images are scaled before the network. */
    readonly parameters?: Readonly<Record<string, string | number | boolean>>;
    /** The layers, where the zoo does not have them. */
    readonly definition?: LayerList;
  };
  /** In the order of the model's outputs, a dustbin apart. */
  readonly classNames: readonly string[];
  /** For every name in `classNames`, its index in `parentClassNames`. */
  readonly classIds: readonly number[];
  /** Whether one more output follows, the last: that the image is of none of the classes. Absent: no. */
  readonly dustbin?: boolean;
  /** All classes of the data set; of an imported model its own. */
  readonly parentClassNames: readonly string[];
  /** One image; pixels are RGB 0..255 before preprocessing. */
  readonly input: { readonly height: number; readonly width: number; readonly channels: number };
  /** Pixels are divided by 255, then `(x - mean) / std` per channel. */
  readonly preprocessing: {
    readonly scale: '0..1';
    readonly mean: readonly number[];
    readonly std: readonly number[];
  };
  readonly calibration: null;
  /** What was measured, e.g. `testAccuracy`. */
  readonly metrics?: Readonly<Record<string, number>>;
  readonly lineage: TrainedLineage | ImportedLineage;
  readonly weights: {
    /** In the artefact's folder. */
    readonly file: 'weights.safetensors';
    readonly digest: string;
    /** Numbers in the file: trainable parameters and moving statistics. */
    readonly parameters: number;
  };
}

/** How many logits the model answers per image: one per class, and one for a dustbin. */
export function outputCount({ classNames, dustbin }: Pick<ModelManifest, 'classNames' | 'dustbin'>): number {
  return classNames.length + (dustbin === true ? 1 : 0);
}

const classNames = z.array(z.string().min(1)).min(1);

const schema: z.ZodType<ModelManifest> = z.strictObject({
  formatVersion: z.literal(1),
  name: z.string().min(1),
  architecture: z.strictObject({
    name: z.string().min(1),
    parameters: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).exactOptional(),
    definition: z.looseObject({ name: z.string().min(1), layers: z.array(z.unknown()) }).exactOptional(),
  }),
  classNames,
  classIds: z.array(z.int().min(0)).min(1),
  dustbin: z.boolean().exactOptional(),
  parentClassNames: classNames,
  input: z.strictObject({ height: z.int().min(1), width: z.int().min(1), channels: z.int().min(1) }),
  preprocessing: z.strictObject({
    scale: z.literal('0..1'),
    mean: z.array(z.number()),
    std: z.array(z.number().positive()),
  }),
  calibration: z.null(),
  metrics: z.record(z.string(), z.number()).exactOptional(),
  lineage: z.discriminatedUnion('arm', [
    z.strictObject({
      arm: z.enum(['teacher', 'distil', 'control']),
      job: z.string(),
      jobSpecDigest: digestSchema,
      dataset: digestSchema,
      teacher: digestSchema.nullable(),
      teachers: z.array(digestSchema).min(2).exactOptional(),
    }),
    z.strictObject({
      arm: z.literal('imported'),
      source: z.strictObject({ file: z.string().min(1), digest: digestSchema }),
    }),
  ]),
  weights: z.strictObject({ file: z.literal('weights.safetensors'), digest: digestSchema, parameters: z.int().min(0) }),
});

/**
 * Parses and checks `model.json`.
 *
 * @param where names it in errors.
 * @throws StillhouseError INVALID_ARGUMENT when it is malformed or contradicts itself; `field` is the path in it.
 */
export function parseModelManifest(bytes: Uint8Array, where: string): ModelManifest {
  const manifest = parseJsonDocument(decodeUtf8(bytes, where), schema, where);
  checkRelations(manifest, where);
  return manifest;
}

function checkRelations(manifest: ModelManifest, where: string): void {
  const { classIds, parentClassNames, preprocessing, input, lineage } = manifest;
  const expect = (condition: boolean, field: string, expected: string) => {
    if (condition) return;
    throw new StillhouseError('INVALID_ARGUMENT', `${where}: ${field}: expected ${expected}`, { field });
  };
  expect(new Set(parentClassNames).size === parentClassNames.length, 'parentClassNames', 'every name once');
  expect(new Set(classIds).size === classIds.length, 'classIds', 'every class once');
  const perChannel = `one number for each of ${input.channels} channels`;
  const namesOfIds = classIds.map((id) => parentClassNames[id]);
  expect(
    namesOfIds.length === manifest.classNames.length &&
      namesOfIds.every((name, output) => name === manifest.classNames[output]),
    'classIds',
    'the index in parentClassNames of every name in classNames',
  );
  expect(preprocessing.mean.length === input.channels, 'preprocessing.mean', perChannel);
  expect(preprocessing.std.length === input.channels, 'preprocessing.std', perChannel);
  if (lineage.arm === 'teacher' || lineage.arm === 'control') {
    expect(lineage.teacher === null, 'lineage.teacher', `null for the arm ${lineage.arm}`);
  }
  if (lineage.arm !== 'imported' && lineage.teachers !== undefined) {
    expect(lineage.teachers[0] === lineage.teacher, 'lineage.teachers', 'lineage.teacher as its first');
  }
}
