/** What teachers and students see of an image. */
import type { ViewsSpec } from '../data/views.ts';
import type { JobSpec, TeacherSpec } from './job-spec.ts';

/** Its own views, else those of the students. */
export function teacherViews({ data }: Pick<JobSpec, 'data'>, { views }: Pick<TeacherSpec, 'views'>): ViewsSpec {
  return views ?? data.views;
}

/** Whether images are mixed with each other. */
export function mixes({ mixup, cutmix }: ViewsSpec): boolean {
  return mixup > 0 || cutmix > 0;
}
