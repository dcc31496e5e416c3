/** Opens a teacher of a job wherever it comes from. */
import { StillhouseError } from '../../base/errors.ts';
import type { TeacherSource } from '../job-spec.ts';
import { openArtefact } from './artefact-teacher.ts';
import { openEndpoint } from './endpoint-teacher.ts';
import { openFiles } from './file-teacher.ts';
import type { OpenTeacherRequest, TeacherModel } from './teacher-model.ts';

export type { OpenTeacherRequest, TeacherModel } from './teacher-model.ts';

/**
 * Loads the teacher and checks that it fits the job's images.
 * @throws INVALID_ARGUMENT when the job has no such teacher, or names what the model does not have; FAILED_PRECONDITION when it is
 *   another one than `modelDigest`, or was trained on other data; NOT_FOUND and DATA_LOSS for stored files; UNAVAILABLE when its
 *   server cannot be reached
 */
export async function openTeacher(request: OpenTeacherRequest): Promise<TeacherModel> {
  const opened = await openSource(sourceOf(request), request);
  const { modelDigest, teacher } = request;
  if (modelDigest === '' || opened.digest === modelDigest) return opened;
  await opened.close();
  const message = `version change of teacher ${teacher}: it is ${opened.digest} now, the job has begun with ${modelDigest}`;
  throw new StillhouseError('FAILED_PRECONDITION', message, {
    hint: 'bring the model back that the job has begun with, or submit the job again',
  });
}

interface Found {
  /** Null: the job makes it. */
  readonly source: TeacherSource | null;
  /** In the job file. */
  readonly field: string;
}

function sourceOf({ job, teacher }: OpenTeacherRequest): Found {
  const index = job.teachers.findIndex(({ name }) => name === teacher);
  if (index !== -1) return { source: job.teachers[index]?.from ?? null, field: `teachers[${index}].from` };
  if (job.students.some(({ name }) => name === teacher)) return { source: null, field: 'students' };
  throw new StillhouseError('INVALID_ARGUMENT', `the job has no teacher called ${teacher}`, { field: 'teacher' });
}

function openSource({ source, field }: Found, request: OpenTeacherRequest): Promise<TeacherModel> {
  if (source === null) return openArtefact(request, { digest: request.modelDigest, isGiven: false });
  if (source.type === 'weights') return openArtefact(request, { digest: source.weights, isGiven: true });
  if (source.type === 'endpoint') return openEndpoint(source, request, field);
  return openFiles(source, request, field);
}
