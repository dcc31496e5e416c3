/** What a job asks of a data set's samples, checked before anything starts. */
import { StillhouseError } from '../base/errors.ts';
import { resolveClasses, restrictToClasses } from '../data/class-map.ts';
import type { Dataset } from '../data/dataset.ts';
import { type Splits, selectSplits } from '../data/splits.ts';
import type { JobSpec } from './job-spec.ts';

/**
 * The job's splits. They must exist, every student must have something to learn and something to be tested on, and there
 * must be as many test images as the route is evaluated on.
 * @throws INVALID_ARGUMENT naming the field
 */
export function checkSamples(spec: JobSpec, dataset: Dataset): Splits {
  const splits = selectSplits(dataset, { seed: spec.seed, ...spec.data });
  for (const [index, { name, classes }] of spec.students.entries()) {
    const field = `students[${index}].classes`;
    const { classIds } = resolveClasses(classes ?? dataset.classNames, dataset.classNames, field);
    for (const split of ['train', 'test'] as const) {
      if (restrictToClasses(splits[split], dataset.labels, classIds).length > 0) continue;
      throw new StillhouseError('INVALID_ARGUMENT', `data.${split}: no image of it has a class of student ${name}`, {
        field: `data.${split}`,
        hint: 'take more images or other classes',
      });
    }
  }
  const { routeImages } = spec.evaluate;
  if (routeImages !== undefined && routeImages > splits.test.length) {
    const field = 'evaluate.routeImages';
    const expected = `expected at most ${splits.test.length}, the number of test images`;
    throw new StillhouseError('INVALID_ARGUMENT', `${field}: ${expected}, got ${routeImages}`, {
      field,
      hint: 'lower it, leave it out to take all of them, or raise data.test',
    });
  }
  return splits;
}
