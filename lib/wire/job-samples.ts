/** What a job asks of a data set's samples, checked before anything starts. */
import { nextTurn } from '../base/clock.ts';
import { StillhouseError } from '../base/errors.ts';
import { resolveClasses, restrictToClasses } from '../data/class-map.ts';
import type { Dataset } from '../data/dataset.ts';
import { type Splits, selectSplits } from '../data/splits.ts';
import { requirePixelsFit, requireRepliesFit } from './batch-messages.ts';
import { dustbinTemperature, mayUseTeacher } from './job-losses.ts';
import type { JobSpec, StudentSpec } from './job-spec.ts';
import { isGiven } from './teaching.ts';
import { type KnownLabels, knownLabels, samplesByLabel } from './training-samples.ts';
import { requireWholeStep } from './whole-steps.ts';

/**
 * The job's splits. They must exist, every model must have something to learn, as many as a step takes, and something to be
 * tested on, its loss must make sense for images without labels and for a dustbin, there must be as many test images as
 * teachers and the route are evaluated on, and images that students send and logits that they get must fit into messages. Of millions of samples that takes seconds: a part at a time.
 * @throws INVALID_ARGUMENT naming the field
 */
export async function checkSamples(spec: JobSpec, dataset: Dataset): Promise<Splits> {
  requirePixelsFit(spec, dataset.image);
  requireRepliesFit(spec, dataset.classNames);
  const splits = selectSplits(dataset, { seed: spec.seed, ...spec.data });
  await nextTurn();
  const known = await knownLabels(spec, dataset, splits.train);
  if (known.ids.length < splits.train.length) refuseTermsOfLabels(spec);
  for (const [index, teacher] of spec.teachers.entries()) {
    if (isGiven(teacher)) continue;
    requireWholeStep(`teachers[${index}].train`, teacher.name, known.ids.length, teacher.train);
  }
  for (const index of spec.students.keys()) {
    await nextTurn();
    await checkStudent(spec, index, dataset, splits, known);
  }
  checkCount('evaluate.teacherImages', spec.evaluate.teacherImages, splits.test.length);
  checkCount('evaluate.routeImages', spec.evaluate.routeImages, splits.test.length);
  return splits;
}

async function checkStudent(
  spec: JobSpec,
  index: number,
  dataset: Dataset,
  splits: Splits,
  known: KnownLabels,
): Promise<void> {
  const { name, classes, dustbin, dustbinShare, assistant } = spec.students[index] as StudentSpec;
  const field = `students[${index}].classes`;
  const { classIds } = resolveClasses(classes ?? dataset.classNames, dataset.classNames, field);
  const learnt = restrictToClasses(known.ids, known.labels, classIds);
  const tested = restrictToClasses(splits.test, dataset.labels, classIds);
  for (const [at, ids] of [[labelledField(spec), learnt] as const, ['data.test', tested] as const]) {
    if (ids.length > 0) continue;
    throw refusal(at, `no image of it has a class of student ${name}`, 'take more images or other classes');
  }
  await nextTurn();
  if (dustbin) checkDustbin(spec, index, classIds.length, dataset.classNames.length);
  const { ids } = await samplesByLabel(known, { seed: spec.seed, classIds, dustbin, dustbinShare });
  const byLabel = ids.length;
  // How many of the others the teacher will give it is not known yet.
  const atMost = mayUseTeacher(spec.distill) ? byLabel + splits.train.length - known.ids.length : byLabel;
  requireWholeStep('train', name, atMost, spec.train);
  if (spec.evaluate.control && !assistant) requireWholeStep('train', `the control arm of ${name}`, byLabel, spec.train);
}

/** Which key decides on the images with labels. */
function labelledField({ data }: JobSpec): string {
  if (data.labelled !== undefined) return 'data.labelled';
  return data.source === undefined ? 'data.train' : 'data.source';
}

function refuseTermsOfLabels({ distill, data }: JobSpec): void {
  const index = distill.loss.findIndex((term) => term.weight !== 0 && 'type' in term && term.type === 'dkd');
  if (index === -1) return;
  const cause = data.source === undefined ? 'data.labelled' : 'data.source';
  const message = `dkd needs the label of every image, and ${cause} leaves some without`;
  throw refusal(`distill.loss[${index}]`, message, `take kl, or leave ${cause} out`);
}

function checkDustbin(spec: JobSpec, index: number, own: number, all: number): void {
  if (own === all) {
    const message = 'the student has all classes, so there is nothing to put into a dustbin';
    throw refusal(`students[${index}].dustbin`, message, 'leave it out, or give the student fewer classes');
  }
  if (mayUseTeacher(spec.distill)) dustbinTemperature(spec.distill);
}

function checkCount(field: string, count: number | undefined, available: number): void {
  if (count === undefined || count <= available) return;
  const message = `expected at most ${available}, the number of test images, got ${count}`;
  throw refusal(field, message, 'lower it, leave it out to take all of them, or raise data.test');
}

function refusal(field: string, problem: string, hint: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `${field}: ${problem}`, { field, hint });
}
