/** Who teaches whom in a job, and whose logits are stored. */
import { areOff } from '../data/views.ts';
import { mayUseTeacher } from './job-losses.ts';
import type { GivenTeacherSpec, JobSpec, StudentSpec, TeacherSpec, TrainedTeacherSpec } from './job-spec.ts';
import { viewsOf } from './teacher-views.ts';

export function isGiven(teacher: TeacherSpec): teacher is GivenTeacherSpec {
  return teacher.from !== undefined;
}

/** Those that the job trains. */
export function trainedTeachers({ teachers }: JobSpec): TrainedTeacherSpec[] {
  return teachers.filter((teacher): teacher is TrainedTeacherSpec => !isGiven(teacher));
}

/** Names of whom a student learns from, in the order of the job file: teachers, then students; none where its loss looks at no teacher. */
export function taughtBy(job: JobSpec, student: Pick<StudentSpec, 'teachers'>): string[] {
  if (!mayUseTeacher(job.distill)) return [];
  if (student.teachers === undefined) return job.teachers.map(({ name }) => name);
  const named = new Set(student.teachers);
  return [...job.teachers, ...job.students].map(({ name }) => name).filter((name) => named.has(name));
}

/** Students that learn from a teacher, or from a student that teaches others. */
export function learnersOf(job: JobSpec, teacher: string): StudentSpec[] {
  return job.students.filter((student) => taughtBy(job, student).includes(teacher));
}

/** Whether a student trains on all images of the job: known before, with whom each one is mixed. */
export function trainsOnAll({ classes, dustbin, dustbinShare }: StudentSpec): boolean {
  return classes === undefined || (dustbin && dustbinShare === undefined);
}

/**
 * Whether the logits of a teacher, or of a student that teaches others, are stored as they are computed. Images that students send
 * have no name under which that could be.
 */
export function storesLogits(job: JobSpec, name: string): boolean {
  const { mode } = job.distill.cache;
  if (job.distill.request === 'pixels') return false;
  if (mode !== 'auto') return mode === 'on';
  const views = viewsOf(job, name);
  return areOff(views) || views.cycle !== undefined;
}

/** Whether the job has training images without labels, which the first teacher's answers deal out to the students. */
export function hasUnlabelled({ data }: JobSpec): boolean {
  return data.labelled !== undefined || data.source !== undefined;
}
