/** The phases of a job and what follows from its file alone. Pure. */
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { newPhase, type PhaseRecord } from './job-record.ts';

/** In the order in which they run. */
export function plannedPhases(spec: JobSpec): PhaseRecord[] {
  const phases = spec.teachers.map(({ name }) => newPhase('TRAIN_TEACHER', name));
  for (const { name } of spec.students) {
    phases.push(newPhase('DISTIL', name));
    if (spec.evaluate.control) phases.push(newPhase('CONTROL', name));
  }
  phases.push(newPhase('PUBLISH', spec.publish.route));
  if (spec.evaluate.routeImages !== 0) phases.push(newPhase('EVALUATE_ROUTE', spec.publish.route));
  return phases;
}

/** Whether a term of the loss looks at the teacher; of code that comes with the job, only who runs it knows. */
export function usesTeacher(spec: JobSpec): boolean {
  return spec.distill.loss.some((term) => term.weight !== 0 && !('type' in term && term.type === 'cross-entropy'));
}
