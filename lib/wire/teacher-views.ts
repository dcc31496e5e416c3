/** What a teacher sees of an image. */
import type { JobSpec, TeacherSpec, ViewsSpec } from './job-spec.ts';

/** Its own views, else those of the students. */
export function teacherViews({ data }: Pick<JobSpec, 'data'>, { views }: Pick<TeacherSpec, 'views'>): ViewsSpec {
  return views ?? data.views;
}
