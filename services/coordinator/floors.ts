/** `evaluate.floors`: what a job's models must have reached on test images, looked at once all is done. Pure. */
import { type FloorResult, floorResults } from '../../lib/wire/job-floors.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import type { JobRecord, PhaseName, PhaseRecord } from './job-record.ts';

/**
 * Every floor that was missed, e.g. `teacher big 78.2 % < 79.0 %`. What was never measured has missed its floor, and says so; of a job
 * that only labels, only teachers are.
 */
export function missedFloors(spec: JobSpec, { phases, scope }: Pick<JobRecord, 'phases' | 'scope'>): string[] {
  const phaseOf = (kind: PhaseName, subject: string) =>
    phases.find((phase) => phase.kind === kind && phase.subject === subject);
  const accuracyOf = (kind: PhaseName) => (subject: string) => measured(phaseOf(kind, subject));
  const evaluation = phaseOf('EVALUATE_ROUTE', spec.publish.route);
  const results = floorResults(spec, {
    teacher: (name) => measured(phaseOf('TRAIN_TEACHER', name) ?? phaseOf('EVALUATE_TEACHER', name)),
    student: accuracyOf('DISTIL'),
    control: accuracyOf('CONTROL'),
    route: () => measured(evaluation),
    rule: (rule) => {
      const result = evaluation?.rules.find((one) => one.rule === rule);
      return result === undefined || result.evaluatedImages === 0 ? null : result.correct / result.evaluatedImages;
    },
  });
  const counted = results.filter(({ what }) => scope === 'ALL' || what === 'teacher');
  return counted.filter(({ isReached }) => !isReached).map(describe);
}

/** Right answers, 0..1; null where nothing was evaluated. */
function measured(phase: PhaseRecord | undefined): number | null {
  return phase === undefined || phase.evaluatedImages === 0 ? null : phase.accuracy;
}

function describe({ what, subject, rule, value, floor }: FloorResult): string {
  const title = what === 'teacher' ? `teacher ${subject}` : `route ${subject}`;
  const ruled = what === 'gain' ? `gain of ${subject}` : `${title}${rule === undefined ? '' : ` by ${rule}`}`;
  if (value === null) return `${ruled} was not measured`;
  const [is, least] = distinct(value, floor);
  return what === 'gain' ? `${subject} gained ${is} points < ${least}` : `${ruled} ${is} % < ${least} %`;
}

/** Both in hundredths, with as many decimals as tell them apart, at least one. */
function distinct(share: number, floor: number): [string, string] {
  for (let decimals = 1; ; decimals++) {
    const texts: [string, string] = [(100 * share).toFixed(decimals), (100 * floor).toFixed(decimals)];
    if (texts[0] !== texts[1] || decimals === 7) return texts;
  }
}
