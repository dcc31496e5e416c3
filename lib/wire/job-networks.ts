/** Whether a job's networks can be built and trained as it asks, checked before anything starts. */
import { StillhouseError } from '../base/errors.ts';
import { resolveClasses } from '../data/class-map.ts';
import type { Dataset } from '../data/dataset.ts';
import type { ImageShape } from '../data/manifest.ts';
import { resolveArchitecture } from '../model/architecture-choice.ts';
import { firstTrainedDepth } from '../model/freeze.ts';
import type { Architecture } from '../model/layers.ts';
import { describeModel, layersByDepth } from '../model/parameters.ts';
import type { JobSpec, NetworkSpec, TeacherSource } from './job-spec.ts';
import { requireStorable } from './logits-formats.ts';
import { endpointAddress } from './teachers/endpoint-calls.ts';

/**
 * Every network must fit its images and its classes, and have the blocks that are to be fine-tuned. Where `init` decides
 * the size of the images, whoever has that model checks the fit. Of a given teacher what the job itself says is checked; the rest
 * is seen when it is opened.
 * @throws INVALID_ARGUMENT naming the field, with the layer at fault
 */
export function checkNetworks(spec: JobSpec, dataset: Dataset): void {
  const { classNames, image } = dataset;
  for (const [index, teacher] of spec.teachers.entries()) {
    const path = `teachers[${index}]`;
    if (teacher.from === undefined) checkNetwork(path, teacher, image, classNames.length);
    else {
      checkSource(`${path}.from`, teacher.from);
      const named = teacher.from.type === 'weights' ? undefined : teacher.from.classNames;
      if (named !== undefined) requireStorable(spec, { name: teacher.name, classNames: named }, dataset);
    }
  }
  for (const [index, student] of spec.students.entries()) {
    const path = `students[${index}]`;
    const { classIds } = resolveClasses(student.classes ?? classNames, classNames, `${path}.classes`);
    checkNetwork(path, student, image, classIds.length + (student.dustbin ? 1 : 0));
  }
}

function checkSource(path: string, source: TeacherSource): void {
  if (source.type === 'weights') return;
  if (source.type === 'endpoint') at(`${path}.url`, () => endpointAddress(source.url));
  const { classNames = [] } = source;
  const twice = classNames.find((name, index) => classNames.indexOf(name) !== index);
  if (twice === undefined) return;
  const field = `${path}.classNames`;
  throw new StillhouseError('INVALID_ARGUMENT', `${field}: ${twice} is named twice`, { field });
}

function checkNetwork(path: string, network: NetworkSpec, images: ImageShape, classes: number): void {
  const { arch, init, inputSize, fineTune } = network;
  const architecture = at(`${path}.arch`, () => resolveArchitecture(arch));
  at(`${path}.fineTune`, () => firstTrainedDepth({ architecture, ...layersByDepth(architecture) }, fineTune));
  if (inputSize === undefined) {
    if (init === undefined) at(`${path}.arch`, () => describeModel(architecture, images, classes));
    return;
  }
  const scaled = { ...images, height: inputSize, width: inputSize };
  // Layers that fit the data set's own images are not at fault.
  const atFault = fits(architecture, images, classes) ? 'inputSize' : 'arch';
  at(`${path}.${atFault}`, () => describeModel(architecture, scaled, classes));
}

function fits(architecture: Architecture, images: ImageShape, classes: number): boolean {
  try {
    describeModel(architecture, images, classes);
    return true;
  } catch (error) {
    if (error instanceof StillhouseError) return false;
    throw error;
  }
}

/** Runs a check; its error gets the field. */
function at<T>(field: string, check: () => T): T {
  try {
    return check();
  } catch (thrown) {
    const { code, message, hint } = StillhouseError.from(thrown);
    const details = hint === undefined ? { field, cause: thrown } : { field, hint, cause: thrown };
    throw new StillhouseError(code, `${field}: ${message}`, details);
  }
}
