/** What users should know of teachers that are somebody else's servers. Pure; part of the machine. */
import { isGiven } from '../../lib/wire/teaching.ts';
import type { Turn } from './job-turn.ts';

/** Says in the phase's notice which of these teachers may answer with other bits next time, in a job that is to be reproducible. */
export function noteEndpoints(turn: Turn, teachers: readonly string[]): void {
  if (!turn.spec.averaging.reproducible) return;
  for (const teacher of turn.spec.teachers) {
    if (!isGiven(teacher) || teacher.from.type !== 'endpoint' || !teachers.includes(teacher.name)) continue;
    const { name } = teacher;
    turn.note(
      `teacher ${name} is an endpoint: averaging.reproducible cannot promise the bits of its answers, because its server may compute batches together`,
    );
  }
}
