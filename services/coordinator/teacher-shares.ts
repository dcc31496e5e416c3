/** What teacher-workers did for a distillation, from the counters that they report. Pure; part of the machine. */
import { learnersOf } from '../../lib/wire/teaching.ts';
import type { TeacherEndpoint } from './job-events.ts';
import type { TeacherShareRecord } from './job-record.ts';
import type { Turn } from './job-turn.ts';

const COUNTERS = [
  'samplesServed',
  'samplesComputed',
  'samplesCached',
  'samplesRepeated',
  'batchesRefused',
  'bytesSent',
  'computeMs',
] as const satisfies readonly (keyof TeacherShareRecord)[];

/**
 * Takes a worker's counters in. They go on from phase to phase, and start anew with every serving: what they have grown by is what the
 * latest distillation that has begun has had of it, among those whose student learns from that teacher. So a worker's last words on a
 * phase that has ended count there until another one has begun.
 *
 * @param taskId of the serving, which may have been replaced since
 */
export function recordShares(
  turn: Turn,
  workerId: string,
  taskId: string,
  reported: readonly TeacherShareRecord[],
): void {
  for (const share of reported) {
    if (share.workerId !== workerId) {
      turn.effects.push({ kind: 'warn', workerId, message: `the share of worker ${share.workerId} is ignored` });
      continue;
    }
    const phaseIndex = taughtPhase(turn, taskId, share.teacher);
    if (phaseIndex === undefined) continue;
    const { [taskId]: before = [] } = turn.run.counted;
    const others = before.filter((one) => !isSame(one, share));
    turn.patchRun({ counted: { ...turn.run.counted, [taskId]: [...others, share] } });
    count(
      turn,
      phaseIndex,
      share,
      before.find((one) => isSame(one, share)),
    );
  }
}

/** The latest distillation that has begun and for which the serving is, of a student that learns from the teacher. */
function taughtPhase(turn: Turn, taskId: string, teacher: string): number | undefined {
  const { servedFrom, sharesPhase = -1 } = turn.run;
  const learners = new Set(learnersOf(turn.spec, teacher).map(({ name }) => name));
  for (let index = sharesPhase; index >= (servedFrom[taskId] ?? Number.POSITIVE_INFINITY); index--) {
    const phase = turn.state.job.phases[index];
    if (phase?.kind === 'DISTIL' && learners.has(phase.subject)) return index;
  }
  return undefined;
}

function count(
  turn: Turn,
  phaseIndex: number,
  share: TeacherShareRecord,
  before: TeacherShareRecord | undefined,
): void {
  const { teachers = [], state } = turn.state.job.phases[phaseIndex] ?? {};
  const known = teachers.find((one) => isSame(one, share));
  // Nobody waits for answers in a phase that has ended.
  const samplesQueued = state === 'RUNNING' ? share.samplesQueued : 0;
  const total = { ...(known ?? emptyShareOf(share)), samplesQueued };
  for (const counter of COUNTERS) total[counter] += Math.max(0, share[counter] - (before?.[counter] ?? 0));
  const others = known === undefined ? [...teachers, total] : teachers.map((one) => (one === known ? total : one));
  turn.patchPhaseAt(phaseIndex, { teachers: others });
}

/**
 * Counts the time in which teacher-workers could answer the students of the phase that runs, whether they were asked or not. Call it
 * before anything changes in who can.
 *
 * @param serving who can answer now
 */
export function countServing(turn: Turn, serving: readonly TeacherEndpoint[]): void {
  const elapsedMs = turn.nowMs - (turn.run.countedMs ?? turn.nowMs);
  turn.patchRun({ countedMs: turn.nowMs });
  const { teachers } = turn.phase;
  const fresh = serving.filter((one) => !teachers.some((share) => isSame(share, one))).map(emptyShareOf);
  if (fresh.length === 0 && (elapsedMs === 0 || serving.length === 0)) return;
  const isServing = (share: TeacherShareRecord) => serving.some((one) => isSame(share, one));
  const all = [...teachers, ...fresh].map((share) =>
    isServing(share) ? { ...share, servingMs: share.servingMs + elapsedMs } : share,
  );
  turn.patchPhase({ teachers: all });
}

/** Nothing waits any more at a worker that has gone. */
export function emptyQueues(turn: Turn, workerId: string): void {
  const { sharesPhase } = turn.run;
  if (sharesPhase === undefined) return;
  const { teachers = [] } = turn.state.job.phases[sharesPhase] ?? {};
  if (!teachers.some((one) => one.workerId === workerId && one.samplesQueued > 0)) return;
  const emptied = teachers.map((one) => (one.workerId === workerId ? { ...one, samplesQueued: 0 } : one));
  turn.patchPhaseAt(sharesPhase, { teachers: emptied });
}

type Served = Pick<TeacherShareRecord, 'workerId' | 'teacher'>;

function isSame(one: Served, other: Served): boolean {
  return one.workerId === other.workerId && one.teacher === other.teacher;
}

function emptyShareOf({ workerId, teacher }: Served): TeacherShareRecord {
  return {
    workerId,
    teacher,
    samplesServed: 0,
    samplesComputed: 0,
    samplesCached: 0,
    samplesRepeated: 0,
    batchesRefused: 0,
    samplesQueued: 0,
    bytesSent: 0,
    computeMs: 0,
    servingMs: 0,
  };
}
