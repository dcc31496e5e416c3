/** Phases that teacher-workers do by themselves: they begin again without a worker that goes. Pure; part of the machine. */
import { newPhase, type PhaseName } from './job-record.ts';
import type { Turn } from './job-turn.ts';
import { phaseTitle } from './phase-life.ts';

interface Restarts {
  /** More often a phase does not begin again: something other than workers that come and go must be wrong. */
  readonly atMost: number;
  /** What becomes of the phase, for people. */
  readonly what: string;
}

const RESTARTS: Partial<Record<PhaseName, Restarts>> = {
  TRAIN_TEACHER: {
    atMost: 2,
    what: 'training starts again from its beginning, because it cannot go on from a checkpoint yet',
  },
  EVALUATE_TEACHER: { atMost: 5, what: 'the evaluation starts again' },
  LABEL: { atMost: 5, what: 'another worker goes on with the labels, from those that are stored' },
};

/** Has the phase begin again, after one of its workers was lost. Answers why the job has to fail, if it has to. */
export function restartAfterLoss(turn: Turn, workerId: string, reason: string): string | undefined {
  const loss = `worker ${workerId} was lost: ${reason}`;
  if (restart(turn, loss)) return undefined;
  const { restarts } = turn.run;
  const before = restarts === 0 ? '' : `, after the phase had started again ${restarts} times`;
  return `${phaseTitle(turn.phase)}: ${loss}${before}`;
}

/** Has the phase begin again when a worker of it drains, as long as it may: after that the worker uses the time that it has left. */
export function restartWithoutDraining(turn: Turn): void {
  const draining = new Set(turn.cluster.workers.filter(({ isDraining }) => isDraining).map(({ id }) => id));
  const leaving = turn.run.tasks.find(({ workerId, result }) => result === undefined && draining.has(workerId));
  if (leaving !== undefined) restart(turn, `worker ${leaving.workerId} drains`);
}

/** Whether the phase begins again: it waits for workers then, as at first. */
function restart(turn: Turn, cause: string): boolean {
  const { tasks, restarts } = turn.run;
  const { kind, subject, notice, checkpointDigest, checkpointEpoch } = turn.phase;
  const rule = RESTARTS[kind];
  if (rule === undefined || restarts >= rule.atMost) return false;
  turn.cancelTasks(tasks.filter(({ result }) => result === undefined));
  const stage = { kind: 'gathering', sinceMs: turn.nowMs } as const;
  // What was suspected was that the worker had gone.
  turn.patchRun({ stage, restarts: restarts + 1, tasks: [], suspicion: undefined });
  // The checkpoint is in the object store, whatever comes next.
  const kept = { notice, checkpointDigest, checkpointEpoch };
  turn.patchPhase({ ...newPhase(kind, subject), state: 'RUNNING', ...kept });
  turn.note(`${cause}: ${rule.what} (${restarts + 1} of at most ${rule.atMost} times)`);
  turn.save();
  return true;
}
