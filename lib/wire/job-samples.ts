/** What a job asks of a data set's samples, checked before anything starts. */
import { StillhouseError } from '../base/errors.ts';
import { resolveClasses, restrictToClasses } from '../data/class-map.ts';
import type { Dataset } from '../data/dataset.ts';
import { type Splits, selectSplits } from '../data/splits.ts';
import { dustbinTemperature, mayUseTeacher } from './job-losses.ts';
import type { JobSpec } from './job-spec.ts';
import { labelledSamples } from './training-samples.ts';

/**
 * The job's splits. They must exist, every student must have something to learn and something to be tested on, its loss must
 * make sense for images without labels and for a dustbin, and there must be as many test images as teachers and the route are
 * evaluated on.
 * @throws INVALID_ARGUMENT naming the field
 */
export function checkSamples(spec: JobSpec, dataset: Dataset): Splits {
  const splits = selectSplits(dataset, { seed: spec.seed, ...spec.data });
  const labelled = labelledSamples(spec, dataset, splits.train);
  if (labelled.length < splits.train.length) refuseTermsOfLabels(spec);
  const fields = { train: spec.data.labelled === undefined ? 'data.train' : 'data.labelled', test: 'data.test' };
  const learnt = { train: labelled, test: splits.test };
  for (const [index, { name, classes, dustbin }] of spec.students.entries()) {
    const field = `students[${index}].classes`;
    const { classIds } = resolveClasses(classes ?? dataset.classNames, dataset.classNames, field);
    for (const split of ['train', 'test'] as const) {
      if (restrictToClasses(learnt[split], dataset.labels, classIds).length > 0) continue;
      throw refusal(
        fields[split],
        `no image of it has a class of student ${name}`,
        'take more images or other classes',
      );
    }
    if (dustbin) checkDustbin(spec, index, classIds.length, dataset.classNames.length);
  }
  checkCount('evaluate.teacherImages', spec.evaluate.teacherImages, splits.test.length);
  checkCount('evaluate.routeImages', spec.evaluate.routeImages, splits.test.length);
  return splits;
}

function refuseTermsOfLabels({ distill }: JobSpec): void {
  const index = distill.loss.findIndex((term) => term.weight !== 0 && 'type' in term && term.type === 'dkd');
  if (index === -1) return;
  const message = 'dkd needs the label of every image, and data.labelled leaves some without';
  throw refusal(`distill.loss[${index}]`, message, 'take kl, or leave data.labelled out');
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
