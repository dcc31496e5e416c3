/** Which workers a phase takes, and what is missing when there are not enough. Pure. */
import { mayUseTeacher } from '../../lib/wire/job-losses.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import type { ClusterView, ClusterWorker } from './job-events.ts';
import type { PhaseName } from './job-record.ts';

/** How many of each a job needs at the same time. */
export interface Needs {
  readonly teachers: number;
  readonly students: number;
  readonly specialists: number;
  readonly routers: number;
}

/** What the whole job needs: asked for before anything starts, so that hours of training never end without a router. */
export function needsOfJob(spec: JobSpec): Needs {
  return { teachers: 1, students: spec.averaging.workers, specialists: 1, routers: 1 };
}

/** What a phase of the job needs by itself. */
export function needsOfPhase(spec: JobSpec, phase: PhaseName): Needs {
  const none: Needs = { teachers: 0, students: 0, specialists: 0, routers: 0 };
  const students = spec.averaging.workers;
  switch (phase) {
    case 'TRAIN_TEACHER':
    case 'LABEL':
      return { ...none, teachers: 1 };
    case 'DISTIL':
      return { ...none, students, teachers: mayUseTeacher(spec.distill) ? 1 : 0 };
    case 'CONTROL':
      return { ...none, students };
    case 'PUBLISH':
      return { ...none, specialists: 1, routers: 1 };
    case 'CHOOSE_RULE':
    case 'EVALUATE_ROUTE':
      return { ...none, students: 1, routers: 1 };
  }
}

/**
 * One sentence that says what is missing, or undefined when nothing is. Students that train together must have equal
 * engine fingerprints, or their weights would not stay bit-identical.
 */
export function describeMissing(needs: Needs, cluster: ClusterView): string | undefined {
  const counts: [string, number, number][] = [
    ['teacher-worker', needs.teachers, workersOf(cluster, 'teacher').length],
    ['student-worker', needs.students, workersOf(cluster, 'student').length],
    ['specialist', needs.specialists, workersOf(cluster, 'specialist').length],
    ['router', needs.routers, cluster.routers.length],
  ];
  const missing = counts
    .filter(([, needed, there]) => there < needed)
    .map(
      ([what, needed, there]) =>
        `${needed - there} more ${what}${needed - there === 1 ? '' : 's'} (${there} of ${needed} there)`,
    );
  if (missing.length > 0) return `waits for ${missing.join(', ')}`;
  const alike = chooseStudents(cluster, needs.students).length;
  if (alike >= needs.students) return undefined;
  const engines = [...new Set(workersOf(cluster, 'student').map(({ fingerprint }) => fingerprint))].sort();
  return `waits for ${needs.students} student-workers with the same engine; there are ${engines.map((engine) => `"${engine}"`).join(', ')}`;
}

export function workersOf(cluster: ClusterView, role: ClusterWorker['role']): ClusterWorker[] {
  return cluster.workers.filter((worker) => worker.role === role);
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
