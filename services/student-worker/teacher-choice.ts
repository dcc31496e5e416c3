/** Which teachers count for which samples of a student. */
import type { ModelPlan } from '../../lib/wire/job-plan.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';

/** Whose answers a batch needs. */
export interface ChosenTeachers {
  /** Places in the list of teachers, ascending. */
  readonly teachers: readonly number[];
  /** For `by-class`: the place in `teachers` of whose answer a row takes. */
  readonly teacherOfRow: (row: number) => number;
}

export type TeacherChoice = (ids: Uint32Array) => ChosenTeachers;

/**
 * With `by-class` a sample is taught by the teacher of its label; without a label, or where no teacher is named for it, by the
 * first one. Else all teachers count for all samples.
 *
 * @param names of the teachers
 */
export function teacherChoice(
  { distill }: Pick<JobSpec, 'distill'>,
  { classes, training }: Pick<ModelPlan, 'classes' | 'training'>,
  names: readonly string[],
): TeacherChoice {
  const all = { teachers: [...names.keys()], teacherOfRow: () => 0 };
  if (distill.teachers.combine !== 'by-class' || names.length === 1) return () => all;
  const teacherOfClass = new Map<number, number>();
  for (const [teacher, name] of names.entries()) {
    for (const own of distill.teachers.classes[name] ?? []) {
      const label = typeof own === 'string' ? classes.classNames.indexOf(own) : classes.classIds.indexOf(own);
      if (label !== -1) teacherOfClass.set(label, teacher);
    }
  }
  return (ids) => {
    const chosen = Array.from(ids, (id) => teacherOfClass.get(training.labelOf(id)) ?? 0);
    const teachers = [...new Set(chosen)].sort((a, b) => a - b);
    return { teachers, teacherOfRow: (row) => teachers.indexOf(chosen[row] as number) };
  };
}
