/** `init`: which model a teacher or student starts from, and whether it can. */
import { isAbsolute } from 'node:path';
import { StillhouseError } from '../../lib/base/errors.ts';
import { loadModel, storeModel } from '../../lib/checkpoint/models.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import { resolveClasses } from '../../lib/data/class-map.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import type { ImageShape } from '../../lib/data/manifest.ts';
import { architectureLabel } from '../../lib/model/architecture-choice.ts';
import { importModel } from '../../lib/model/imported-model.ts';
import { openWeights } from '../../lib/model/weights-source.ts';
import type { JobSpec, NetworkSpec, StudentSpec, TeacherSpec } from '../../lib/wire/job-spec.ts';
import { type StartingPlace, startingState } from '../../lib/wire/starting-state.ts';
import type { Registry } from './registry.ts';

export interface InitialModelsOptions {
  readonly registry: Registry;
  readonly objects: ObjectStore;
  /** Where the set-up keeps pre-trained weights; see `cacheRoot`. */
  readonly cache: string;
  /** Whether jobs may name files of this machine. */
  readonly allowPaths: boolean;
}

export class InitialModels {
  readonly #options: InitialModelsOptions;

  constructor(options: InitialModelsOptions) {
    this.#options = options;
  }

  /**
   * The job with digests for names and files: what a name stands for may change while the job waits. Weights from files
   * are stored as models on the way.
   * @param images of the data set: what weights are taken to be for, where neither they nor the job say
   * @throws INVALID_ARGUMENT with the path in the job file for a model or file that is not there or does not fit
   */
  async resolve(spec: JobSpec, images: ImageShape): Promise<JobSpec> {
    const teachers: TeacherSpec[] = [];
    for (const [index, teacher] of spec.teachers.entries()) {
      teachers.push(await this.#resolved(teacher, images, `teachers[${index}]`));
    }
    const students: StudentSpec[] = [];
    for (const [index, student] of spec.students.entries()) {
      students.push(await this.#resolved(student, images, `students[${index}]`));
    }
    return { ...spec, teachers, students };
  }

  /** @throws INVALID_ARGUMENT when a model differs from the one that is to start from it; the message names the tensor */
  async check(spec: JobSpec, dataset: Dataset): Promise<void> {
    for (const [index, teacher] of spec.teachers.entries()) {
      await this.#check(teacher, { classNames: dataset.classNames, dustbin: false }, `teachers[${index}]`, dataset);
    }
    for (const [index, student] of spec.students.entries()) {
      const path = `students[${index}]`;
      const classes = student.classes ?? dataset.classNames;
      const { classNames } = resolveClasses(classes, dataset.classNames, `${path}.classes`);
      await this.#check(student, { classNames, dustbin: student.dustbin }, path, dataset);
    }
  }

  async #resolved<T extends NetworkSpec>(network: T, images: ImageShape, path: string): Promise<T> {
    const { init } = network;
    if (init === undefined) return network;
    try {
      const digest = isFile(init) ? await this.#import(network, init, images) : await this.#published(init);
      return { ...network, init: digest };
    } catch (thrown) {
      throw refusal(path, thrown);
    }
  }

  async #published(nameOrDigest: string): Promise<string> {
    return (await this.#options.registry.getModel(nameOrDigest)).digest;
  }

  async #import({ arch, inputSize }: NetworkSpec, init: string, images: ImageShape): Promise<string> {
    const { objects, cache, allowPaths } = this.#options;
    if (isAbsolute(init) && !allowPaths) {
      throw new StillhouseError('INVALID_ARGUMENT', `the coordinator does not read files that jobs name: ${init}`, {
        hint: 'import the weights as a model, or start the services with STILLHOUSE_ALLOW_DATASET_PATHS=1',
      });
    }
    const source = await openWeights(init, cache);
    const input = inputSize === undefined ? images : { ...images, height: inputSize, width: inputSize };
    return await storeModel(objects, importModel(source, { architecture: arch, namelessClasses: true, input }));
  }

  async #check(network: NetworkSpec, outputs: Outputs, path: string, dataset: Dataset): Promise<void> {
    if (network.init === undefined) return;
    const init = await loadModel(this.#options.objects, network.init);
    const { name, architecture } = init.manifest;
    const label = architectureLabel(network.arch);
    try {
      if (architecture.name !== label) {
        const message = `model ${name} is a ${architecture.name}, and is to start a ${label}`;
        throw new StillhouseError('INVALID_ARGUMENT', message);
      }
      startingState(network, init, { ...outputs, images: dataset.image, seed: 0 });
    } catch (thrown) {
      throw refusal(path, thrown);
    }
  }
}

type Outputs = Pick<StartingPlace, 'classNames' | 'dustbin'>;

/** As opposed to the name or digest of a published model. */
function isFile(init: string): boolean {
  return init.startsWith('pretrained:') || isAbsolute(init);
}

function refusal(path: string, thrown: unknown): StillhouseError {
  const error = StillhouseError.from(thrown);
  if (error.code === 'UNAVAILABLE') return error;
  const field = `${path}.init`;
  const details = error.hint === undefined ? { field, cause: error } : { field, hint: error.hint, cause: error };
  return new StillhouseError('INVALID_ARGUMENT', `${field}: ${error.message}`, details);
}
