/** Which workers a phase takes, and what is missing when there are not enough. Pure. */
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { taughtBy, trainedTeachers } from '../../lib/wire/teaching.ts';
import type { ClusterView, ClusterWorker } from './job-events.ts';
import type { JobScopeName, PhaseRecord } from './job-record.ts';

/** How many of each a job needs at the same time. */
export interface Needs {
  readonly teachers: number;
  readonly students: number;
  readonly specialists: number;
  readonly routers: number;
}

/** What the whole job needs: asked for before anything starts, so that hours of training never end without a router. */
export function needsOfJob(spec: JobSpec, scope: JobScopeName): Needs {
  const teachers = Math.max(1, ...trainedTeachers(spec).map(({ train }) => train.workers));
  if (scope === 'LABEL') return { ...NOBODY, teachers };
  return { teachers, students: spec.averaging.workers, specialists: 1, routers: 1 };
}

const NOBODY: Needs = { teachers: 0, students: 0, specialists: 0, routers: 0 };

/** What a phase of the job needs by itself. */
export function needsOfPhase(spec: JobSpec, { kind, subject }: Pick<PhaseRecord, 'kind' | 'subject'>): Needs {
  const students = spec.averaging.workers;
  switch (kind) {
    case 'TRAIN_TEACHER': {
      const teacher = trainedTeachers(spec).find(({ name }) => name === subject);
      return { ...NOBODY, teachers: teacher?.train.workers ?? 1 };
    }
    case 'EVALUATE_TEACHER':
    case 'LABEL':
      return { ...NOBODY, teachers: 1 };
    case 'DISTIL': {
      const student = spec.students.find(({ name }) => name === subject);
      const isTaught = student !== undefined && taughtBy(spec, student).length > 0;
      return { ...NOBODY, students, teachers: isTaught ? 1 : 0 };
    }
    case 'CONTROL':
      return { ...NOBODY, students };
    case 'PUBLISH':
      return { ...NOBODY, specialists: 1, routers: 1 };
    case 'CHOOSE_RULE':
    case 'EVALUATE_ROUTE':
      return { ...NOBODY, students: 1, routers: 1 };
  }
}

/**
 * One sentence that says what is missing, or undefined when nothing is. Workers that train together must have equal
 * engine fingerprints, or their weights would not stay bit-identical.
 *
 * @param teachers the teacher-workers that the job may take
 */
export function describeMissing(
  needs: Needs,
  cluster: ClusterView,
  teachers: readonly ClusterWorker[] = workersOf(cluster, 'teacher'),
): string | undefined {
  const others = workersOf(cluster, 'teacher').length - teachers.length;
  const unfit = others === 0 ? '' : `, and ${others} that cannot be taken`;
  const students = workersOf(cluster, 'student');
  const counts: [string, number, number, string?][] = [
    ['teacher-worker', needs.teachers, teachers.length, unfit],
    ['student-worker', needs.students, students.length],
    ['specialist', needs.specialists, workersOf(cluster, 'specialist').length],
    ['router', needs.routers, cluster.routers.length],
  ];
  const missing = counts
    .filter(([, needed, there]) => there < needed)
    .map(
      ([what, needed, there, note = '']) =>
        `${needed - there} more ${what}${needed - there === 1 ? '' : 's'} (${there} of ${needed} there${note})`,
    );
  if (missing.length > 0) return `waits for ${missing.join(', ')}`;
  return (
    describeUnlike('teacher-workers', needs.teachers, teachers) ??
    describeUnlike('student-workers', needs.students, students)
  );
}

function describeUnlike(what: string, needed: number, workers: readonly ClusterWorker[]): string | undefined {
  if (chooseAlike(workers, needed).length >= needed) return undefined;
  const engines = [...new Set(workers.map(({ fingerprint }) => fingerprint))].sort();
  return `waits for ${needed} ${what} with the same engine; there are ${engines.map((engine) => `"${engine}"`).join(', ')}`;
}

/** Who is there after this worker has gone. */
export function withoutWorker(cluster: ClusterView, workerId: string): ClusterView {
  return { ...cluster, workers: cluster.workers.filter(({ id }) => id !== workerId) };
}

/** Those that are there and do not drain. */
export function workersOf(cluster: ClusterView, role: ClusterWorker['role']): ClusterWorker[] {
  return cluster.workers.filter((worker) => worker.role === role && !worker.isDraining);
}

/** `count` students of the largest group with one fingerprint, by id; fewer when the group is smaller. */
export function chooseStudents(cluster: ClusterView, count: number): ClusterWorker[] {
  return chooseAlike(workersOf(cluster, 'student'), count);
}

/** The first `count` workers of the largest group with one fingerprint. */
export function chooseAlike(workers: readonly ClusterWorker[], count: number): ClusterWorker[] {
  const groups = new Map<string, ClusterWorker[]>();
  for (const worker of workers) {
    groups.set(worker.fingerprint, [...(groups.get(worker.fingerprint) ?? []), worker]);
  }
  const largest = [...groups.values()].reduce((best, group) => (group.length > best.length ? group : best), []);
  return largest.slice(0, count);
}
