/** Teachers in files of other frameworks, which compute in the compute thread. */
import path from 'node:path';
import { StillhouseError } from '../../base/errors.ts';
import type { FileSource } from '../job-spec.ts';
import { ForeignTeacher } from './foreign-teacher.ts';
import { materialise } from './model-files.ts';
import { fitSignature, NUMBER_TYPES } from './signature.ts';
import { sourceDigest } from './source-digest.ts';
import type { OpenTeacherRequest, TeacherModel } from './teacher-model.ts';

/**
 * @param source with the digest of its stored files as `path`
 * @param field its place in the job file
 * @throws what `materialise`, `openForeignModel` and `fitSignature` throw, naming the field
 */
export async function openFiles(source: FileSource, request: OpenTeacherRequest, field: string): Promise<TeacherModel> {
  const { compute, dataset, objects, cache } = request;
  const location = await materialise(objects, source.path, path.join(cache, 'teachers'));
  const { type, signature } = source;
  const model = await compute.openForeign({ type, location, signature }).catch((thrown) => {
    const { code, message, hint } = StillhouseError.from(thrown);
    const details = { field: `${field}.path`, ...(hint !== undefined && { hint }), cause: thrown };
    throw new StillhouseError(code, `${field}.path: ${message}`, details);
  });
  try {
    const { image, classNames } = dataset;
    const fit = fitSignature(source, model.facts, { types: NUMBER_TYPES[type], path: field, image, classNames });
    const digest = () => sourceDigest(source, fit.classNames, null);
    return await ForeignTeacher.open({ predictor: model, fit, request, digest });
  } catch (error) {
    await model.close();
    throw error;
  }
}
