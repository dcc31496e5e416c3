/** Models that a job brings along: what a teacher or student starts from, and teachers that are there already. */
import { isAbsolute } from 'node:path';
import { StillhouseError } from '../../lib/base/errors.ts';
import { loadModel, storeModel } from '../../lib/checkpoint/models.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import { resolveClasses } from '../../lib/data/class-map.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { type ArchitectureSpec, architectureLabel } from '../../lib/model/architecture-choice.ts';
import { type ImportOptions, importModel } from '../../lib/model/imported-model.ts';
import { networkInput } from '../../lib/model/manifest-network.ts';
import { openWeights } from '../../lib/model/weights-source.ts';
import type {
  FileSource,
  JobSpec,
  NetworkSpec,
  StudentSpec,
  TeacherSource,
  TeacherSpec,
  WeightsSource,
} from '../../lib/wire/job-spec.ts';
import { type StartingPlace, startingState } from '../../lib/wire/starting-state.ts';
import { storeModelFiles } from '../../lib/wire/teachers/model-files.ts';
import { listSourceFiles } from '../../lib/wire/teachers/source-files.ts';
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
   * are stored as models on the way, files of other frameworks as they are.
   * @param dataset its images and classes are what weights are taken to be for, where neither they nor the job say
   * @throws INVALID_ARGUMENT with the path in the job file for a model or file that is not there or does not fit
   */
  async resolve(spec: JobSpec, dataset: ImagesAndClasses): Promise<JobSpec> {
    const teachers: TeacherSpec[] = [];
    for (const [index, teacher] of spec.teachers.entries()) {
      const path = `teachers[${index}]`;
      if (teacher.from === undefined) teachers.push(await this.#resolved(teacher, dataset, path));
      else teachers.push({ ...teacher, from: await this.#resolvedSource(teacher.from, dataset, `${path}.from`) });
    }
    const students: StudentSpec[] = [];
    for (const [index, student] of spec.students.entries()) {
      students.push(await this.#resolved(student, dataset, `students[${index}]`));
    }
    return { ...spec, teachers, students };
  }

  /** @throws INVALID_ARGUMENT when a model differs from the one that is to start from it; the message names the tensor */
  async check(spec: JobSpec, dataset: Dataset): Promise<void> {
    for (const [index, teacher] of spec.teachers.entries()) {
      const path = `teachers[${index}]`;
      if (teacher.from?.type === 'weights') await this.#checkWeights(teacher.from, `${path}.from`);
      if (teacher.from !== undefined) continue;
      await this.#check(teacher, { classNames: dataset.classNames, dustbin: false }, path, dataset);
    }
    for (const [index, student] of spec.students.entries()) {
      const path = `students[${index}]`;
      const classes = student.classes ?? dataset.classNames;
      const { classNames } = resolveClasses(classes, dataset.classNames, `${path}.classes`);
      await this.#check(student, { classNames, dustbin: student.dustbin }, path, dataset);
    }
  }

  async #resolved<T extends NetworkSpec>(network: T, dataset: ImagesAndClasses, path: string): Promise<T> {
    const { init, arch, inputSize } = network;
    if (init === undefined) return network;
    return refusing(`${path}.init`, async () => {
      // Whoever is trained further gets a head of its own where the classes are others.
      const options = { ...importOptions(arch, inputSize, dataset), namelessClasses: true };
      return { ...network, init: await this.#modelOf(init, options) };
    });
  }

  async #resolvedSource(source: TeacherSource, dataset: ImagesAndClasses, path: string): Promise<TeacherSource> {
    if (source.type === 'endpoint') return source;
    if (source.type !== 'weights') {
      return refusing(`${path}.path`, async () => ({ ...source, path: await this.#filesOf(source) }));
    }
    return refusing(`${path}.weights`, async () => {
      const options = {
        ...importOptions(source.arch, source.inputSize, dataset),
        classNamesIfAsMany: dataset.classNames,
      };
      return { ...source, weights: await this.#modelOf(source.weights, options) };
    });
  }

  async #modelOf(init: string, options: ImportOptions): Promise<string> {
    const { registry, objects, cache } = this.#options;
    // Teachers and checkpoints are stored without being published.
    if (init.startsWith('sha256:')) return (await loadModel(objects, init)).digest;
    if (!isFile(init)) return (await registry.getModel(init)).digest;
    if (isAbsolute(init)) this.#requirePaths(init);
    return await storeModel(objects, importModel(await openWeights(init, cache), options));
  }

  async #filesOf({ type, path }: FileSource): Promise<string> {
    const { objects } = this.#options;
    // A job that is submitted again as it was resolved.
    if (path.startsWith('sha256:') && (await objects.has(path))) return path;
    if (!isAbsolute(path)) {
      throw new StillhouseError('INVALID_ARGUMENT', `${path} is not an absolute path`, {
        hint: 'stillhouse makes it one, from the folder of the job file',
      });
    }
    this.#requirePaths(path);
    return storeModelFiles(objects, await listSourceFiles({ type, path }));
  }

  #requirePaths(path: string): void {
    if (this.#options.allowPaths) return;
    throw new StillhouseError('INVALID_ARGUMENT', `the coordinator does not read files that jobs name: ${path}`, {
      hint: 'import the weights as a model, or start the services with STILLHOUSE_ALLOW_DATASET_PATHS=1',
    });
  }

  /** What the job says of weights that say it themselves must be the same. */
  async #checkWeights({ weights, arch, inputSize }: WeightsSource, path: string): Promise<void> {
    const { manifest } = await loadModel(this.#options.objects, weights);
    const differs = (field: string, actual: string | number, wanted: string | number) => {
      const message = `${path}.${field}: model ${manifest.name} has ${actual}, not ${wanted}`;
      return new StillhouseError('INVALID_ARGUMENT', message, {
        field: `${path}.${field}`,
        hint: 'leave it out',
      });
    };
    const { name } = manifest.architecture;
    const label = arch === undefined ? name : architectureLabel(arch);
    if (label !== name) throw differs('arch', name, label);
    const { height } = networkInput(manifest);
    if (inputSize !== undefined && inputSize !== height) throw differs('inputSize', height, inputSize);
  }

  async #check(network: NetworkSpec, outputs: Outputs, path: string, dataset: Dataset): Promise<void> {
    if (network.init === undefined) return;
    const init = await loadModel(this.#options.objects, network.init);
    const { name, architecture } = init.manifest;
    const label = architectureLabel(network.arch);
    await refusing(`${path}.init`, async () => {
      if (architecture.name !== label) {
        const message = `model ${name} is a ${architecture.name}, and is to start a ${label}`;
        throw new StillhouseError('INVALID_ARGUMENT', message);
      }
      startingState(network, init, { ...outputs, images: dataset.image, seed: 0 });
    });
  }
}

type Outputs = Pick<StartingPlace, 'classNames' | 'dustbin'>;

type ImagesAndClasses = Pick<Dataset, 'image' | 'classNames'>;

function importOptions(
  architecture: ArchitectureSpec | undefined,
  inputSize: number | undefined,
  { image }: ImagesAndClasses,
): ImportOptions {
  const input = inputSize === undefined ? image : { ...image, height: inputSize, width: inputSize };
  return { ...(architecture !== undefined && { architecture }), input };
}

/** As opposed to the name or digest of a published model. */
function isFile(init: string): boolean {
  return init.startsWith('pretrained:') || isAbsolute(init);
}

/** Whatever is wrong with a model is wrong with the key that names it. */
async function refusing<T>(field: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const error = StillhouseError.from(thrown);
    if (error.code === 'UNAVAILABLE') throw error;
    const details = error.hint === undefined ? { field, cause: error } : { field, hint: error.hint, cause: error };
    throw new StillhouseError('INVALID_ARGUMENT', `${field}: ${error.message}`, details);
  }
}
