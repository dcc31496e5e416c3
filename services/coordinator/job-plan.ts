/** The phases of a job and what follows from its file alone. Pure. */
import { areOff } from '../../lib/data/views.ts';
import { mayUseTeacher } from '../../lib/wire/job-losses.ts';
import { controlRouteName } from '../../lib/wire/job-routes.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { viewsOf } from '../../lib/wire/teacher-views.ts';
import { hasUnlabelled, isGiven, storesLogits } from '../../lib/wire/teaching.ts';
import { type JobScopeName, newPhase, type PhaseRecord } from './job-record.ts';

/** In the order in which they run. */
export function plannedPhases(spec: JobSpec, scope: JobScopeName): PhaseRecord[] {
  const teachers = spec.teachers.map((one) => newPhase(isGiven(one) ? 'EVALUATE_TEACHER' : 'TRAIN_TEACHER', one.name));
  const labellings = spec.teachers
    .filter(({ name }) => scope === 'LABEL' || labels(spec, name))
    .map(({ name }) => newPhase('LABEL', name));
  if (scope === 'LABEL') return [...teachers, ...labellings];
  const students = spec.students.flatMap(({ name, assistant }) => {
    const distil = newPhase('DISTIL', name);
    return spec.evaluate.control && !assistant ? [distil, newPhase('CONTROL', name)] : [distil];
  });
  const controlRoute = spec.evaluate.controlRoute ? routePhases(spec, controlRouteName(spec)) : [];
  return [...teachers, ...labellings, ...students, ...controlRoute, ...routePhases(spec, spec.publish.route)];
}

function routePhases({ publish, evaluate }: JobSpec, route: string): PhaseRecord[] {
  const phases = [newPhase('PUBLISH', route)];
  if (publish.rule === 'best') phases.push(newPhase('CHOOSE_RULE', route));
  if (evaluate.routeImages !== 0) phases.push(newPhase('EVALUATE_ROUTE', route));
  return phases;
}

/**
 * Whether a teacher answers all training images once, before students are distilled: where its answers deal out the images without
 * labels, or where it would only give the same stored answers again, because it sees no augmentation.
 */
export function labels(spec: JobSpec, teacher: string): boolean {
  if (!mayUseTeacher(spec.distill)) return false;
  return dealsImages(spec, teacher) || (storesLogits(spec, teacher) && areOff(viewsOf(spec, teacher)));
}

/** Whether a teacher's answers to the training images decide which students learn from those without labels. */
export function dealsImages(spec: JobSpec, teacher: string): boolean {
  return hasUnlabelled(spec) && mayUseTeacher(spec.distill) && spec.teachers[0]?.name === teacher;
}
