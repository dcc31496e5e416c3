/** The phases of a job and what follows from its file alone. Pure. */
import { areOff } from '../../lib/data/views.ts';
import { mayUseTeacher } from '../../lib/wire/job-losses.ts';
import { controlRouteName } from '../../lib/wire/job-routes.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { teacherViews } from '../../lib/wire/teacher-views.ts';
import { newPhase, type PhaseRecord } from './job-record.ts';

/** In the order in which they run. */
export function plannedPhases(spec: JobSpec): PhaseRecord[] {
  const phases: PhaseRecord[] = [];
  for (const { name } of spec.teachers) {
    phases.push(newPhase('TRAIN_TEACHER', name));
    if (needsLabels(spec)) phases.push(newPhase('LABEL', name));
  }
  for (const { name } of spec.students) {
    phases.push(newPhase('DISTIL', name));
    if (spec.evaluate.control) phases.push(newPhase('CONTROL', name));
  }
  if (spec.evaluate.controlRoute) phases.push(...routePhases(spec, controlRouteName(spec)));
  return [...phases, ...routePhases(spec, spec.publish.route)];
}

function routePhases({ publish, evaluate }: JobSpec, route: string): PhaseRecord[] {
  const phases = [newPhase('PUBLISH', route)];
  if (publish.rule === 'best') phases.push(newPhase('CHOOSE_RULE', route));
  if (evaluate.routeImages !== 0) phases.push(newPhase('EVALUATE_ROUTE', route));
  return phases;
}

/**
 * Whether the teacher answers all training images once, before students are distilled: where images have no label that the job
 * looks at, as those of a target domain, or where it would only give the same answers again, because it sees no augmentation.
 */
export function needsLabels(spec: JobSpec): boolean {
  const hasFixedAnswers = spec.teachers.some((teacher) => areOff(teacherViews(spec, teacher)));
  const hasUnlabelled = spec.data.labelled !== undefined || spec.data.source !== undefined;
  return mayUseTeacher(spec.distill) && (hasUnlabelled || hasFixedAnswers);
}
