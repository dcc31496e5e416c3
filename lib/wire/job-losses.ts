/** From a job's `distill` block to the loss that a student trains with, and the code that the job brings for it. */
import { invariant, StillhouseError } from '../base/errors.ts';
import type { Compute } from '../distill/compute.ts';
import type { Scheduled } from '../distill/loss-schedule.ts';
import type { Loss, LossTerm } from '../distill/loss-spec.ts';
import type { DistillSpec, JobSpec, LossModule, LossTermSpec } from './job-spec.ts';

/** What is known of a custom loss once it has been loaded, by its digest. */
export type LoadedLosses = ReadonlyMap<string, { readonly needsTeacher: boolean }>;

export const NO_LOADED_LOSSES: LoadedLosses = new Map();

/** The setting that lets a worker run code that comes with jobs. */
export const ALLOW_CUSTOM_CODE = 'STILLHOUSE_ALLOW_CUSTOM_CODE';

/** The modules of the job, each with its path in the job file. */
export function customLosses({
  loss,
}: DistillSpec): { readonly field: string; readonly module: string | LossModule }[] {
  return loss.flatMap((term, index) =>
    'module' in term ? [{ field: `distill.loss[${index}].module`, module: term.module }] : [],
  );
}

/** @throws FAILED_PRECONDITION when the job brings code and `isAllowed` is false */
export function refuseCustomCode({ distill }: JobSpec, isAllowed: boolean): void {
  const found = customLosses(distill)[0];
  if (found === undefined || isAllowed) return;
  const name = typeof found.module === 'string' ? found.module : found.module.name;
  const message = `the job brings code of its own (${name}), which is not allowed here`;
  throw new StillhouseError('FAILED_PRECONDITION', message, {
    field: found.field,
    hint: `where jobs are trusted, start the workers with ${ALLOW_CUSTOM_CODE}=1; "stillhouse run" and "up" have --allow-custom-code`,
  });
}

/** The job for people to look at: its code by name and digest. */
export function withoutSources(job: JobSpec): object {
  const loss = job.distill.loss.map((term) => {
    if (!('module' in term) || typeof term.module === 'string') return term;
    const { digest, name } = term.module;
    return { ...term, module: { digest, name } };
  });
  return { ...job, distill: { ...job.distill, loss } };
}

/** @throws INVALID_ARGUMENT when a module is still a path, which means nothing to anyone but its author */
export function requireModuleCode({ distill }: JobSpec): void {
  for (const { field, module } of customLosses(distill)) codeOf(module, field);
}

function codeOf(module: string | LossModule, field: string): LossModule {
  if (typeof module !== 'string') return module;
  const message = `${field}: expected the module's code {digest, name, source}, got the path ${JSON.stringify(module)}`;
  throw new StillhouseError('INVALID_ARGUMENT', message, {
    field,
    hint: 'submit the job with `stillhouse job submit`, which puts the code in',
  });
}

/** Loads the job's code into the compute thread. Call it only where custom code is allowed. */
export async function loadCustomLosses(compute: Compute, { distill }: JobSpec): Promise<LoadedLosses> {
  const loaded = new Map<string, { readonly needsTeacher: boolean }>();
  for (const { field, module } of customLosses(distill)) {
    const code = codeOf(module, field);
    if (!loaded.has(code.digest)) loaded.set(code.digest, await compute.loadLoss(code));
  }
  return loaded;
}

/** Terms that never count are left out: nobody then needs to be asked for what only they look at. */
export function distillationLoss({ loss, temperature }: DistillSpec, loaded: LoadedLosses): Loss {
  const terms = loss.flatMap((term, index) => (term.weight === 0 ? [] : [trainedTerm(term, index, loaded)]));
  return { terms, temperature };
}

/** Whether a term of the loss looks at the teacher; of code that comes with the job, only who runs it knows. */
export function mayUseTeacher({ loss }: DistillSpec): boolean {
  return loss.some(mayLookAtTeacher);
}

/** As `mayUseTeacher`, of one term. */
export function mayLookAtTeacher(term: LossTermSpec): boolean {
  return term.weight !== 0 && !('type' in term && term.type === 'cross-entropy');
}

/**
 * The one temperature of all terms that look at the teacher: at it the teacher adds up the probabilities of the classes that a
 * dustbin stands for.
 * @throws INVALID_ARGUMENT when it changes during the training, or terms have several
 */
export function dustbinTemperature({ loss, temperature }: DistillSpec): number {
  const looking = loss.filter(mayLookAtTeacher);
  const temperatures = new Set(looking.map((term) => fixed(term.temperature ?? temperature)));
  const [only] = temperatures;
  if (temperatures.size === 1 && typeof only === 'number') return only;
  const message = 'distill.temperature: expected one fixed temperature for all terms, because a student has a dustbin';
  throw new StillhouseError('INVALID_ARGUMENT', message, {
    field: 'distill.temperature',
    hint: 'the teacher adds up the other classes’ probabilities at one temperature; take out schedules and temperatures of terms, or dustbin',
  });
}

function fixed(amount: Scheduled): Scheduled {
  return typeof amount !== 'number' && amount.type === 'constant' ? amount.value : amount;
}

function trainedTerm(term: LossTermSpec, index: number, loaded: LoadedLosses): LossTerm {
  if (!('module' in term)) return term;
  const { module, ...rest } = term;
  const { digest, name } = codeOf(module, `distill.loss[${index}].module`);
  const facts = loaded.get(digest);
  invariant(facts !== undefined, `the loss ${name} has been loaded`);
  return { type: 'custom', digest, name, ...rest, needsTeacher: facts.needsTeacher };
}
