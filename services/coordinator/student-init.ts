/** `students[].init`: which published model a student starts from, and whether it can. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { resolveClasses } from '../../lib/data/class-map.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import type { ImageShape } from '../../lib/data/manifest.ts';
import { parseModelManifest } from '../../lib/model/artefact.ts';
import type { JobSpec, StudentSpec } from '../../lib/wire/job-spec.ts';
import type { Registry } from './registry.ts';

/**
 * The job with digests for names: what a name stands for may change while the job waits.
 * @throws INVALID_ARGUMENT with the path in the file for a model that is not published
 */
export async function resolveInits(spec: JobSpec, registry: Registry): Promise<JobSpec> {
  const resolve = async (student: StudentSpec, index: number): Promise<StudentSpec> => {
    if (student.init === undefined) return student;
    try {
      return { ...student, init: (await registry.getModel(student.init)).digest };
    } catch (thrown) {
      const error = StillhouseError.from(thrown);
      if (error.code !== 'NOT_FOUND') throw error;
      throw refusal(index, `there is no published model "${student.init}"`, error);
    }
  };
  return { ...spec, students: await Promise.all(spec.students.map(resolve)) };
}

/** @throws INVALID_ARGUMENT when a student differs from its model in architecture, input or classes */
export async function checkInits(spec: JobSpec, dataset: Dataset, registry: Registry): Promise<void> {
  for (const [index, student] of spec.students.entries()) {
    if (student.init === undefined) continue;
    const { name, digest, manifestJson } = await registry.getModel(student.init);
    const manifest = parseModelManifest(new TextEncoder().encode(manifestJson), `model ${digest}`);
    const field = `students[${index}].classes`;
    const { classNames } = resolveClasses(student.classes ?? dataset.classNames, dataset.classNames, field);
    const sizeOf = ({ height, width, channels }: ImageShape) => [height, width, channels].join(' x ');
    const differences = [
      ['arch', manifest.architecture.name, student.arch],
      ['classes', manifest.classNames.join(', '), classNames.join(', ')],
      ['images', sizeOf(manifest.input), sizeOf(dataset.image)],
    ].filter(([, theirs, ours]) => theirs !== ours);
    for (const [what, theirs, ours] of differences) {
      throw refusal(index, `model ${name} has ${what} "${theirs}", the student has "${ours}"`);
    }
  }
}

function refusal(index: number, message: string, cause?: unknown): StillhouseError {
  const field = `students[${index}].init`;
  return new StillhouseError('INVALID_ARGUMENT', `${field}: ${message}`, { field, cause });
}
