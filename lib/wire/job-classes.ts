/** The classes that a job file names, against those of its data set. */
import { type Problem, show } from './job-problem.ts';
import type { PathSegment } from './job-source.ts';
import type { JobSpec, StudentSpec } from './job-spec.ts';
import { didYouMean } from './suggest.ts';
import { isGiven, taughtBy } from './teaching.ts';

type ClassList = readonly (string | number)[];

/** @param classNames of the data set, in the order of their ids */
export function classProblems(spec: JobSpec, classNames: readonly string[]): Problem[] {
  const lists = spec.students.flatMap(({ classes = [] }, index) => {
    return listProblems(['students', index, 'classes'], classes, classNames, new Map());
  });
  const problems = [...lists, ...choiceProblems(spec, classNames), ...weightProblems(spec, classNames)];
  return problems.length > 0 ? problems : [...givenProblems(spec), ...lessonProblems(spec, classNames)];
}

/** @param seen where each class has been named so far, e.g. `entry 2`; those of this list are added */
function listProblems(
  path: readonly PathSegment[],
  classes: ClassList,
  classNames: readonly string[],
  seen: Map<number, string>,
): Problem[] {
  return classes.flatMap((entry, position): Problem[] => {
    const at = [...path, position];
    const id = idOf(entry, classNames);
    const first = seen.get(id);
    if (id < 0 || id >= classNames.length) {
      const expected =
        typeof entry === 'number' ? `a class id from 0 to ${classNames.length - 1}` : classList(classNames);
      const hint = typeof entry === 'string' ? didYouMean(entry, classNames) : '';
      return [{ path: at, text: `expected ${expected}, got ${show(entry)}${hint}` }];
    }
    if (first === undefined) {
      seen.set(id, `entry ${position}`);
      return [];
    }
    const text = `expected every class once, got ${show(entry)} again (class ${id}, "${classNames[id]}", is ${first})`;
    return [{ path: at, text }];
  });
}

function idOf(entry: string | number, classNames: readonly string[]): number {
  return typeof entry === 'number' ? entry : classNames.indexOf(entry);
}

/** With `by-class`, exactly one teacher answers for each class. */
function choiceProblems({ distill }: JobSpec, classNames: readonly string[]): Problem[] {
  const { combine, classes } = distill.teachers;
  if (combine !== 'by-class') return [];
  const path = ['distill', 'teachers', 'classes'];
  const seen = new Map<number, string>();
  const problems: Problem[] = [];
  for (const [name, own] of Object.entries(classes)) {
    const before = seen.size;
    problems.push(...listProblems([...path, name], own, classNames, seen));
    for (const id of [...seen.keys()].slice(before)) seen.set(id, `${name}'s`);
  }
  const missing = classNames.filter((_, id) => !seen.has(id));
  if (problems.length > 0 || missing.length === 0) return problems;
  return [{ path, text: `expected every class of the data set with one teacher; nobody has ${shortList(missing)}` }];
}

function weightProblems({ data: { classWeights } }: JobSpec, classNames: readonly string[]): Problem[] {
  if (classWeights === undefined || classWeights === 'balanced') return [];
  return Object.keys(classWeights)
    .filter((name) => !classNames.includes(name))
    .map((name) => ({
      path: ['data', 'classWeights', name],
      text: `unknown class; expected ${classList(classNames)}${didYouMean(name, classNames)}`,
    }));
}

/** A given teacher's classes need not be the data set's, but each is one output. */
function givenProblems({ teachers }: JobSpec): Problem[] {
  return teachers.flatMap((teacher, index) =>
    declaredClasses(teacher).flatMap((name, position, all): Problem[] => {
      const first = all.indexOf(name);
      if (first === position) return [];
      const path = ['teachers', index, 'from', 'classNames', position];
      return [{ path, text: `expected every class once, got ${show(name)} again (it is entry ${first})` }];
    }),
  );
}

/** Whom a student learns from knows its classes; of weights that the job brings along that shows when they are loaded. */
function lessonProblems(spec: JobSpec, classNames: readonly string[]): Problem[] {
  const known = new Map<string, readonly string[]>();
  for (const teacher of spec.teachers) {
    const isTold = !isGiven(teacher) || teacher.from.type !== 'weights';
    const declared = declaredClasses(teacher);
    if (isTold) known.set(teacher.name, declared.length > 0 ? declared : classNames);
  }
  for (const student of spec.students) known.set(student.name, classesOf(student, classNames));
  return spec.students.flatMap((student, index) =>
    taughtBy(spec, student).flatMap((name): Problem[] => {
      const of = known.get(name);
      const own = classesOf(student, classNames);
      const missing = of === undefined ? [] : own.filter((one) => !of.includes(one));
      if (missing.length > 0) {
        const text = `expected teachers that know all classes of ${student.name}; ${name} lacks ${shortList(missing)}`;
        return [{ path: ['students', index, student.teachers === undefined ? 'classes' : 'teachers'], text }];
      }
      if (!student.dustbin || of === undefined || of.length > own.length) return [];
      const text = `expected false, because ${name}, who teaches it, knows no other classes`;
      return [{ path: ['students', index, 'dustbin'], text }];
    }),
  );
}

function declaredClasses(teacher: JobSpec['teachers'][number]): readonly string[] {
  if (!isGiven(teacher) || teacher.from.type === 'weights') return [];
  return teacher.from.classNames ?? [];
}

function classesOf({ classes }: StudentSpec, classNames: readonly string[]): string[] {
  return (classes ?? classNames).map((entry) => (typeof entry === 'number' ? (classNames[entry] ?? '') : entry));
}

function classList(classNames: readonly string[]): string {
  return `a class of the data set: ${shortList(classNames)}`;
}

function shortList(classNames: readonly string[]): string {
  return `${classNames.slice(0, 20).join(', ')}${classNames.length > 20 ? ', …' : ''}`;
}
