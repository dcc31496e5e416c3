/** What a job's teachers, assistants and students ask of each other. */

import { mayUseTeacher } from './job-losses.ts';
import type { Contradiction } from './job-relations.ts';
import type { JobSpec } from './job-spec.ts';
import { mixes } from './teacher-views.ts';
import { hasUnlabelled, taughtBy } from './teaching.ts';

export function teachingProblems(job: JobSpec): Contradiction[] {
  return [...lessonProblems(job), ...assistantProblems(job), ...joinProblems(job), ...pixelProblems(job)];
}

/** `students[].teachers`: those before a student can teach it. */
function lessonProblems({ teachers, students }: JobSpec): Contradiction[] {
  const problems: Contradiction[] = [];
  const known = teachers.map(({ name }) => name);
  for (const [index, student] of students.entries()) {
    for (const [position, name] of (student.teachers ?? []).entries()) {
      const path = ['students', index, 'teachers', position];
      if (!known.includes(name)) {
        problems.push({
          path,
          message: `the name of a teacher, or of a student before it: one of ${known.join(', ')}`,
        });
      } else if (student.teachers?.indexOf(name) !== position) {
        problems.push({ path, message: 'every name once' });
      }
    }
    known.push(student.name);
  }
  return problems;
}

function assistantProblems({ students, distill }: JobSpec): Contradiction[] {
  return students.flatMap(({ name, assistant }, index) => {
    if (!assistant) return [];
    const path = ['students', index, 'assistant'];
    if (!mayUseTeacher(distill))
      return [{ path, message: 'false, because no term of distill.loss looks at a teacher' }];
    if (students.slice(index + 1).some(({ teachers = [] }) => teachers.includes(name))) return [];
    return [{ path, message: `false, or ${name} among the teachers of a student after it` }];
  });
}

function joinProblems(job: JobSpec): Contradiction[] {
  const { combine, weights, classes } = job.distill.teachers;
  const path = ['distill', 'teachers'];
  const names = teacherNames(job);
  const unknown = (['weights', 'classes'] as const).flatMap((key) =>
    Object.keys(job.distill.teachers[key])
      .filter((name) => !names.includes(name))
      .map((name) => ({
        path: [...path, key, name],
        message: `a key that is the name of one who teaches: ${names.join(', ')}`,
      })),
  );
  const isMean = combine === 'mean-logits' || combine === 'mean-probabilities';
  if (!isMean && Object.keys(weights).length > 0) {
    unknown.push({
      path: [...path, 'weights'],
      message: `nothing, because combine is ${combine}, which weighs nobody`,
    });
  }
  if (combine === 'by-class') return [...unknown, ...byClassProblems(job)];
  if (Object.keys(classes).length > 0) {
    unknown.push({ path: [...path, 'classes'], message: `nothing, or combine: by-class beside it (${combine})` });
  }
  return unknown;
}

/** The label of an image says who answers for it. */
function byClassProblems(job: JobSpec): Contradiction[] {
  const { data, distill, students } = job;
  const combine = ['distill', 'teachers', 'combine'];
  const named = Object.keys(distill.teachers.classes);
  const problems: Contradiction[] = [];
  if (named.length === 0) {
    const message = 'the classes that each teacher answers for, because combine is by-class';
    problems.push({ path: ['distill', 'teachers', 'classes'], message });
  }
  if (hasUnlabelled(job)) {
    const cause = data.labelled === undefined ? 'data.source' : 'data.labelled';
    const message = `another way than by-class, which needs the label of every image, and ${cause} leaves some without`;
    problems.push({ path: combine, message });
  }
  if (mixes(data.views)) {
    const message = 'another way than by-class, which needs one label for each image, because data.views mixes images';
    problems.push({ path: combine, message });
  }
  for (const [index, student] of students.entries()) {
    const teachers = taughtBy(job, student);
    if (teachers.length < 2 || named.length === 0) continue;
    if (teachers.length === named.length && teachers.every((name) => named.includes(name))) continue;
    const path = student.teachers === undefined ? ['students', index] : ['students', index, 'teachers'];
    const message = `those of distill.teachers.classes (${named.join(', ')}) as teachers, or one teacher, because combine is by-class; it has ${teachers.join(', ')}`;
    problems.push({ path, message });
  }
  return problems;
}

/** All teachers, and students that others name as theirs. */
function teacherNames({ teachers, students }: JobSpec): string[] {
  const named = new Set(students.flatMap(({ teachers: own = [] }) => own));
  return [...teachers.map(({ name }) => name), ...students.map(({ name }) => name).filter((name) => named.has(name))];
}

function pixelProblems({ distill }: JobSpec): Contradiction[] {
  if (distill.request !== 'pixels' || distill.cache.mode !== 'on') return [];
  const message = 'auto or off, because distill.request is pixels, and images without a name cannot be found again';
  return [{ path: ['distill', 'cache', 'mode'], message }];
}
