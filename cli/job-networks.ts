/** What a job says of its models by files: layers are put into the job, weights and models are named so that services find them. */
import { resolve } from 'node:path';
import { StillhouseError } from '../lib/base/errors.ts';
import type { ArchitectureSpec } from '../lib/model/architecture-choice.ts';
import type { JobFile, JobSpec } from '../lib/wire/job-file.ts';
import { formatPath, type PathSegment } from '../lib/wire/job-source.ts';
import type { NetworkSpec, TeacherSource, TeacherSpec } from '../lib/wire/job-spec.ts';
import { layersOf } from './layer-file.ts';

/**
 * @param folder of the job file: paths are meant from there
 * @throws INVALID_ARGUMENT or NOT_FOUND, naming the field, for a file of layers that cannot be read or used
 */
export async function resolveNetworks(spec: JobSpec, folder: string, locate: JobFile['locate']): Promise<JobSpec> {
  const layers = async (arch: ArchitectureSpec, path: readonly PathSegment[]): Promise<ArchitectureSpec> => {
    try {
      return await layersOf(arch, folder);
    } catch (thrown) {
      const { code, message, hint } = StillhouseError.from(thrown);
      const field = formatPath(path);
      const details = { field, ...(hint !== undefined && { hint }), cause: thrown };
      throw new StillhouseError(code, `${field}: ${message}${locate([...path])}`, details);
    }
  };
  const network = async <T extends NetworkSpec>(given: T, path: readonly PathSegment[]): Promise<T> => {
    const { arch, init } = given;
    return {
      ...given,
      arch: await layers(arch, [...path, 'arch']),
      ...(init !== undefined && { init: located(init, folder) }),
    };
  };
  const source = async (from: TeacherSource, path: readonly PathSegment[]): Promise<TeacherSource> => {
    if (from.type === 'endpoint') return from;
    if (from.type !== 'weights') return { ...from, path: isDigest(from.path) ? from.path : resolve(folder, from.path) };
    const { arch, weights } = from;
    return {
      ...from,
      weights: located(weights, folder),
      ...(arch !== undefined && { arch: await layers(arch, [...path, 'arch']) }),
    };
  };
  const teacher = async (given: TeacherSpec, path: readonly PathSegment[]): Promise<TeacherSpec> =>
    given.from === undefined ? network(given, path) : { ...given, from: await source(given.from, [...path, 'from']) };
  return {
    ...spec,
    teachers: await Promise.all(spec.teachers.map((given, index) => teacher(given, ['teachers', index]))),
    students: await Promise.all(spec.students.map((given, index) => network(given, ['students', index]))),
  };
}

/** Weights by a path, which services then find; names and digests stay. */
function located(weights: string, folder: string): string {
  return /^(\.{0,2}\/)|\.(pth|pt|safetensors)$/.test(weights) ? resolve(folder, weights) : weights;
}

/** What a job that has been submitted has in the place of a path. */
function isDigest(path: string): boolean {
  return path.startsWith('sha256:');
}
