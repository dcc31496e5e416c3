/** What teachers and students see of an image. */
import { StillhouseError } from '../base/errors.ts';
import type { ViewsSpec } from '../data/views.ts';
import type { JobSpec, TeacherSpec } from './job-spec.ts';

/** Its own views, else those of the students. */
export function teacherViews({ data }: Pick<JobSpec, 'data'>, { views }: Pick<TeacherSpec, 'views'>): ViewsSpec {
  return views ?? data.views;
}

/**
 * Of the teacher with that name, or of a student that teaches others.
 * @throws INVALID_ARGUMENT when the job has neither
 */
export function viewsOf(job: JobSpec, name: string): ViewsSpec {
  const teacher = job.teachers.find((candidate) => candidate.name === name);
  if (teacher !== undefined) return teacherViews(job, teacher);
  if (job.students.some((student) => student.name === name)) return job.data.views;
  throw new StillhouseError('INVALID_ARGUMENT', `the job has no teacher called ${name}`, { field: 'teacher' });
}

/** Whether images are mixed with each other. */
export function mixes({ mixup, cutmix }: ViewsSpec): boolean {
  return mixup > 0 || cutmix > 0;
}
