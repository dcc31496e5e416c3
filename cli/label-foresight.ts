/** What of a job's answers cannot be stored before it runs, and why. Pure. */
import { StillhouseError } from '../lib/base/errors.ts';
import { areOff } from '../lib/data/views.ts';
import type { JobSpec } from '../lib/wire/job-spec.ts';
import { mixes, viewsOf } from '../lib/wire/teacher-views.ts';
import { learnersOf, trainsOnAll } from '../lib/wire/teaching.ts';

/** @throws INVALID_ARGUMENT where nothing of a teacher, or of any, could be stored */
export function refuseNothingToStore(spec: JobSpec): void {
  if (spec.distill.cache.mode === 'off') {
    const message = 'distill.cache.mode: answers are to be stored, and the job says off';
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: 'distill.cache.mode', hint: 'leave it out' });
  }
  for (const [index, { name }] of spec.teachers.entries()) {
    const field = `teachers[${index}].views`;
    const views = viewsOf(spec, name);
    // What no epoch shows again.
    if (!areOff(views) && views.cycle === undefined) {
      const message = `${field}: the teacher sees a new view of each image in every epoch, so there is nothing to store beforehand`;
      const hint = `give the views a cycle, or turn the teacher’s off: --set '${field}={}'`;
      throw new StillhouseError('INVALID_ARGUMENT', message, { field, hint });
    }
    const learners = learnersOf(spec, name);
    if (mixes(views) && learners.length > 0 && !learners.some(trainsOnAll)) {
      const message = `${field}: images are mixed with others that the same student trains on, which are some classes’ only for ${namesOf(learners)}: what ${name} is asked shows in the job alone, so there is nothing to store beforehand`;
      const hint = `leave mixup and cutmix out of the views, or turn the teacher’s off: --set '${field}={}'`;
      throw new StillhouseError('INVALID_ARGUMENT', message, { field, hint });
    }
  }
}

/** Lines for people: whose answers are not among those that are stored, where others' are. */
export function unforeseen(spec: JobSpec): string[] {
  return spec.teachers.flatMap(({ name }) => {
    if (!mixes(viewsOf(spec, name))) return [];
    const learners = learnersOf(spec, name).filter((student) => !trainsOnAll(student));
    if (learners.length === 0) return [];
    return [
      `what ${name} answers ${namesOf(learners)} is not stored beforehand: images are mixed with others that the same student trains on, which are some classes’ only`,
    ];
  });
}

function namesOf(students: JobSpec['students']): string {
  return students.map(({ name }) => name).join(', ');
}
