/** Which processes make up a local cluster, with which ports, threads and environment. Pure. */
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Environment } from '../../lib/base/settings.ts';

export interface ClusterSize {
  readonly students: number;
  readonly teachers: number;
  readonly specialists: number;
  /** First of the fixed ports; absent: every service takes a free one. */
  readonly portBase?: number | undefined;
  /** Compute threads of every student-worker and teacher-worker; absent: by the rule of `threadsOf`. */
  readonly threads?: number | undefined;
}

export type Role = 'nats' | 'coordinator' | 'teacher' | 'student' | 'specialist' | 'router';

export interface PlannedProcess {
  readonly name: string;
  readonly role: Role;
  /** From the repository root, without extension. */
  readonly program: string;
  readonly args: readonly string[];
  /** What is set for this process beside what all have. */
  readonly environment: Environment;
}

/** The order in which roles are ended: what takes requests first, what others hold on to last. */
export const SHUTDOWN_ORDER: readonly Role[] = ['router', 'specialist', 'student', 'teacher', 'coordinator', 'nats'];

/** Distance from the port base. Workers of a role take consecutive ports. */
const PORT_OFFSETS = { nats: 0, coordinator: 1, router: 2, teacher: 10, student: 20, specialist: 30 } as const;
const ROUTER_HTTP_OFFSET = 3;
const HEALTH_OFFSET = 100;
const METRICS_OFFSET = 200;
const WORKERS_PER_ROLE_MAX = 10;
const PORT_MAX = 65_535;

/**
 * Threads per process. Student-workers train side by side: they share the cores. Teacher-workers train while no student
 * does, so they share all cores among themselves; later their logits take whatever the students leave. Specialists
 * answer small requests: one thread each.
 */
export function threadsOf(role: Role, size: ClusterSize, cores: number): number {
  if (role === 'specialist') return 1;
  if (size.threads !== undefined) return size.threads;
  const sharedBy = role === 'teacher' ? size.teachers : size.students;
  return Math.max(1, Math.floor(cores / Math.max(1, sharedBy)));
}

/** Every process but nats-server. */
export function planCluster(size: ClusterSize, cores: number): PlannedProcess[] {
  const worker = (role: 'teacher' | 'student' | 'specialist', index: number): PlannedProcess => ({
    name: `${role}-${index + 1}`,
    role,
    program: role === 'teacher' ? 'services/teacher-worker/main' : 'services/student-worker/main',
    args: role === 'specialist' ? ['--serve'] : [],
    environment: {
      STILLHOUSE_WORKER_ID: `${role}-${index + 1}`,
      STILLHOUSE_THREADS: String(threadsOf(role, size, cores)),
      ...ports(size, PORT_OFFSETS[role] + index),
    },
  });
  const count = (length: number) => Array.from({ length }, (_, index) => index);
  return [
    {
      name: 'coordinator',
      role: 'coordinator',
      program: 'services/coordinator/main',
      args: [],
      environment: ports(size, PORT_OFFSETS.coordinator),
    },
    ...count(size.teachers).map((index) => worker('teacher', index)),
    ...count(size.students).map((index) => worker('student', index)),
    ...count(size.specialists).map((index) => worker('specialist', index)),
    {
      name: 'router',
      role: 'router',
      program: 'services/router/main',
      args: [],
      environment: {
        STILLHOUSE_WORKER_ID: 'router-1',
        ...ports(size, PORT_OFFSETS.router),
        STILLHOUSE_HTTP_PORT: String(size.portBase === undefined ? 0 : size.portBase + ROUTER_HTTP_OFFSET),
      },
    },
  ];
}

/** The port for nats-server; -1, its own word for a free one. */
export function natsPort(size: ClusterSize): number {
  return size.portBase ?? -1;
}

/** All fixed ports and what they are for, to be tried before anything starts; none without a port base. */
export function fixedPorts(size: ClusterSize, withNats: boolean): { port: number; use: string }[] {
  if (size.portBase === undefined) return [];
  const workers = Math.max(size.teachers, size.students, size.specialists);
  if (workers > WORKERS_PER_ROLE_MAX) {
    const message = `--port-base has room for ${WORKERS_PER_ROLE_MAX} workers of a role, got ${workers}`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: '--port-base', hint: 'leave --port-base out' });
  }
  const services = planCluster(size, 1).flatMap(({ name, environment }) => [
    { port: Number(environment.STILLHOUSE_PORT), use: name },
    { port: Number(environment.STILLHOUSE_HEALTH_PORT), use: `${name} (health)` },
    { port: Number(environment.STILLHOUSE_METRICS_PORT), use: `${name} (metrics)` },
    ...(environment.STILLHOUSE_HTTP_PORT === undefined
      ? []
      : [{ port: Number(environment.STILLHOUSE_HTTP_PORT), use: `${name} (http)` }]),
  ]);
  const all = withNats ? [{ port: size.portBase, use: 'nats-server' }, ...services] : services;
  const beyond = all.find(({ port }) => port > PORT_MAX);
  if (beyond === undefined) return all;
  throw new StillhouseError('INVALID_ARGUMENT', `--port-base ${size.portBase} puts ${beyond.use} on ${beyond.port}`, {
    field: '--port-base',
    hint: `ports end at ${PORT_MAX}`,
  });
}

function ports(size: ClusterSize, offset: number): Environment {
  const { portBase } = size;
  const at = (distance: number) => String(portBase === undefined ? 0 : portBase + offset + distance);
  return {
    STILLHOUSE_PORT: at(0),
    STILLHOUSE_HEALTH_PORT: at(HEALTH_OFFSET),
    STILLHOUSE_METRICS_PORT: at(METRICS_OFFSET),
  };
}
