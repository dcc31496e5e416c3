/** What fields of a job file ask of each other. Messages say what is expected of the value at the path. */
import type { ViewsSpec } from '../data/views.ts';
import type { JobSpec } from './job-spec.ts';
import { supplyProblems } from './logits-formats.ts';
import { mixes } from './teacher-views.ts';
import { isGiven } from './teaching.ts';
import { teachingProblems } from './teaching-relations.ts';

export interface Contradiction {
  readonly path: (string | number)[];
  /** What was expected there. */
  readonly message: string;
}

/** In the order in which people should read them. */
export function contradictionsIn(job: JobSpec): Contradiction[] {
  return [
    ...workerProblems(job),
    ...nameProblems(job),
    ...calibrateProblems(job),
    ...dustbinProblems(job),
    ...teachingProblems(job),
    ...mixingProblems(job),
    ...supplyProblems(job),
  ];
}

function workerProblems({ averaging, train, teachers }: JobSpec): Contradiction[] {
  const problems: Contradiction[] = [];
  for (const [index, teacher] of teachers.entries()) {
    if (isGiven(teacher) || teacher.train.workers <= teacher.train.lanes) continue;
    const message = `at most teachers[${index}].train.lanes (${teacher.train.lanes})`;
    problems.push({ path: ['teachers', index, 'train', 'workers'], message });
  }
  if (averaging.workers <= train.lanes) return problems;
  return [...problems, { path: ['averaging', 'workers'], message: `at most train.lanes (${train.lanes})` }];
}

/** The best epoch is found on images that no training has seen. */
function calibrateProblems({ data, train, teachers }: JobSpec): Contradiction[] {
  if (data.calibrate > 0) return [];
  const trained = teachers.flatMap((teacher, index) =>
    isGiven(teacher) ? [] : [{ path: ['teachers', index, 'train'], train: teacher.train }],
  );
  return [...trained, { path: ['train'], train }].flatMap(({ path, train: { keep, earlyStopping } }) => {
    if (earlyStopping !== undefined)
      return [{ path: [...path, 'earlyStopping'], message: `nothing, ${NO_CALIBRATION}` }];
    return keep === 'best' ? [{ path: [...path, 'keep'], message: `last, ${NO_CALIBRATION}` }] : [];
  });
}

const NO_CALIBRATION = 'or data.calibrate above 0, for images to compare epochs on';

function nameProblems(job: JobSpec): Contradiction[] {
  const problems: Contradiction[] = [];
  const seen = new Map<string, string>();
  for (const list of ['teachers', 'students'] as const) {
    for (const [index, { name }] of job[list].entries()) {
      const other = seen.get(name);
      if (other === undefined) seen.set(name, `${list}[${index}]`);
      else problems.push({ path: [list, index, 'name'], message: `a name other than ${other}'s` });
    }
  }
  return problems;
}

function dustbinProblems({ students }: JobSpec): Contradiction[] {
  return students.flatMap(({ dustbin, dustbinShare }, index) => {
    if (dustbin || dustbinShare === undefined) return [];
    return [{ path: ['students', index, 'dustbinShare'], message: 'dustbin: true beside it, or nothing' }];
  });
}

/** A mixed image has two labels, and the teacher answers for the mix: so it must be the same mix. */
function mixingProblems({ data, teachers, distill }: JobSpec): Contradiction[] {
  const problems: Contradiction[] = [];
  for (const [index, { views }] of teachers.entries()) {
    if (views === undefined || mixingOf(views) === mixingOf(data.views)) continue;
    const message = `the same mixup, cutmix and cycle as data.views (${mixingOf(data.views)}), because teacher and students must see the same mix of images`;
    problems.push({ path: ['teachers', index, 'views'], message });
  }
  if (!mixes(data.views)) return problems;
  for (const [index, term] of distill.loss.entries()) {
    if (term.weight === 0 || !('type' in term) || term.type !== 'dkd') continue;
    const message = 'a term other than dkd, which needs one label for each image, because data.views mixes images';
    problems.push({ path: ['distill', 'loss', index, 'type'], message });
  }
  return problems;
}

/** Which view an epoch shows decides on the mix too. */
function mixingOf(views: ViewsSpec): string {
  if (!mixes(views)) return 'no mixing';
  const { mixup, cutmix, cycle } = views;
  return `mixup ${mixup}, cutmix ${cutmix}, cycle ${cycle ?? 'none'}`;
}
