/** What the coordinator tells Prometheus: jobs, how far those that run are, who is there. */
import type { Metrics, Sample } from '../../lib/wire/metrics.ts';
import { ROLES } from '../../lib/wire/records.ts';
import type { JobRecord, JobStateName, PhaseRecord } from './job-record.ts';
import type { MemberView } from './membership.ts';

const JOB_STATES: readonly JobStateName[] = ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'];

export interface CoordinatorState {
  readonly jobs: () => readonly JobRecord[];
  readonly members: () => readonly MemberView[];
}

export function addCoordinatorMetrics(metrics: Metrics, { jobs, members }: CoordinatorState): void {
  metrics.gauge('stillhouse_jobs', 'Jobs by state.', () =>
    countBy(
      'state',
      JOB_STATES.map((state) => state.toLowerCase()),
      jobs().map(({ state }) => state.toLowerCase()),
    ),
  );
  metrics.gauge('stillhouse_workers', 'Processes of the cluster that are heard of, by role.', () =>
    countBy(
      'role',
      ROLES.filter((role) => role !== 'coordinator'),
      members().map(({ role }) => role),
    ),
  );
  const ofPhases = (value: (phase: PhaseRecord) => number) => () => runningPhases(jobs(), value);
  metrics.gauge(
    'stillhouse_phase_steps',
    'Optimizer steps, or batches, that a running phase has done.',
    ofPhases(({ step }) => step),
  );
  metrics.gauge(
    'stillhouse_phase_steps_planned',
    'Optimizer steps, or batches, of a running phase in all; 0 while unknown.',
    ofPhases(({ stepsTotal }) => stepsTotal),
  );
  metrics.gauge(
    'stillhouse_teachers_wanted',
    'Teacher-workers with which the students of a running phase would not wait for logits; 0 while unknown.',
    ofPhases(({ teachersWanted }) => teachersWanted),
  );
}

function countBy(label: string, known: readonly string[], values: readonly string[]): Sample[] {
  return known.map((name) => ({ labels: { [label]: name }, value: values.filter((value) => value === name).length }));
}

/** Only these: jobs that have ended would be series for ever. */
function runningPhases(jobs: readonly JobRecord[], value: (phase: PhaseRecord) => number): Sample[] {
  return jobs.flatMap(({ id, phases }) =>
    phases
      .filter(({ state }) => state === 'RUNNING')
      .map((phase) => ({
        labels: { job: id, phase: phase.kind.toLowerCase(), subject: phase.subject },
        value: value(phase),
      })),
  );
}
