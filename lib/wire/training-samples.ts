/** Which samples a teacher or a student of a job trains on, and by which labels. */
import { StillhouseError } from '../base/errors.ts';
import { type ClassSubset, labelWithin, restrictToClasses } from '../data/class-map.ts';
import type { Dataset } from '../data/dataset.ts';
import { drawLabelled } from '../data/labelled.ts';
import { NO_LABEL } from '../distill/step-spec.ts';
import type { JobSpec } from './job-spec.ts';

export interface TrainingSamples {
  /** Ascending. */
  readonly ids: Uint32Array;
  /** Class number within the model; `NO_LABEL` for a sample whose label the job does not look at. */
  readonly labelOf: (id: number) => number;
  /** Whether there are such samples. */
  readonly unlabelled: boolean;
}

/** The teacher's answer to a training sample, a class of the data set. */
export type TeacherAnswers = (id: number) => number;

/** The training samples whose labels the job looks at, ascending. @throws as `drawLabelled` does */
export function labelledSamples({ seed, data }: JobSpec, dataset: Dataset, train: Uint32Array): Uint32Array {
  if (data.labelled === undefined) return train;
  return drawLabelled(train, dataset.labels, { seed, count: data.labelled });
}

/** Of a model that learns by labels alone: the labelled samples of its classes, or all of them where it has a dustbin. */
export function samplesByLabel(
  dataset: Dataset,
  labelled: Uint32Array,
  { classIds }: ClassSubset,
  dustbin: boolean,
): TrainingSamples {
  const ids = dustbin ? labelled : restrictToClasses(labelled, dataset.labels, classIds);
  return { ids, labelOf: labelWithin(dataset.labels, classIds, dustbin), unlabelled: false };
}

export interface DistillationRequest {
  readonly train: Uint32Array;
  readonly labelled: Uint32Array;
  readonly classes: ClassSubset;
  readonly dustbin: boolean;
  /** Null where nobody has asked the teacher. */
  readonly answers: TeacherAnswers | null;
}

/**
 * Of a student that learns from a teacher too. With a dustbin, all samples; without, those of its classes: by their labels,
 * and where the job looks at none by the teacher's answer.
 * @throws FAILED_PRECONDITION when the teacher's answers are needed and not at hand
 */
export function samplesByTeacher(dataset: Dataset, request: DistillationRequest): TrainingSamples {
  const { train, labelled, classes, dustbin, answers } = request;
  const own = new Set(classes.classIds);
  const known = new Set(labelled);
  const classOf = (id: number): number => {
    if (known.has(id)) return dataset.labels[id] as number;
    if (answers !== null) return answers(id);
    throw new StillhouseError(
      'FAILED_PRECONDITION',
      'images without labels are dealt by the teacher’s answers, and there are none',
      {
        field: 'data.labelled',
      },
    );
  };
  const ids = dustbin ? train : train.filter((id) => own.has(classOf(id)));
  const within = labelWithin(dataset.labels, classes.classIds, dustbin);
  const labelOf = (id: number) => (known.has(id) ? within(id) : NO_LABEL);
  return { ids, labelOf, unlabelled: ids.some((id) => !known.has(id)) };
}
