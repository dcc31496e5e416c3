/**
 * A model of which only the head is trained, on images that never change: the backbone computes each image's features once,
 * and the steps train the head on what is kept of them.
 */
import type { Dataset } from '../data/dataset.ts';
import { joinHead, type SplitModel, splitAtHead } from '../model/freeze.ts';
import type { Compute, Program } from './compute.ts';
import type { MicroBatch, ProgramSpec, StepMetrics, StepMode } from './step-spec.ts';
import type { ImageSource, RequestedImages, TrainableModel, ViewedSamples } from './trainable-model.ts';

/** Images whose features are computed at a time. */
const FEATURE_BATCH = 32;
/** Features beyond this are computed again each time: a worker has more to do than to remember. */
const KEPT_BYTES_MAX = 2 ** 30;

/** Images of which the features were missing when they were asked for. */
interface LoadedImages {
  readonly ids: Uint32Array;
  readonly images: Promise<Float32Array>;
}

const EMPTY = Promise.resolve(new Float32Array(0));

export class FrozenBackbone implements TrainableModel {
  readonly spec: ProgramSpec;
  readonly #parts: SplitModel;
  readonly #backbone: Program;
  readonly #head: Program;

  /** Compiles both parts. @throws as `Compute.open` and `splitAtHead` do */
  static async open(compute: Compute, spec: ProgramSpec): Promise<FrozenBackbone> {
    const parts = splitAtHead(spec.model);
    const { training, predictBatchSizes } = spec;
    const features = parts.backbone.classes;
    const backbone = await compute.open({
      ...spec,
      model: parts.backbone,
      training: null,
      predictBatchSizes: [FEATURE_BATCH],
    });
    try {
      const head = await compute.open({
        model: parts.head,
        // Features are taken as they are: (x / 255 - 0) / (1 / 255).
        preprocessing: { mean: new Array(features).fill(0), std: new Array(features).fill(1 / 255) },
        training: training === null ? null : { ...training, fineTune: 'all' },
        predictBatchSizes,
      });
      return new FrozenBackbone(spec, parts, backbone, head);
    } catch (error) {
      await backbone.close();
      throw error;
    }
  }

  private constructor(spec: ProgramSpec, parts: SplitModel, backbone: Program, head: Program) {
    this.spec = spec;
    this.#parts = parts;
    this.#backbone = backbone;
    this.#head = head;
  }

  get vectorSize(): number {
    return this.#head.vectorSize;
  }

  get slotSize(): number {
    return this.#head.slotSize;
  }

  get slots(): readonly string[] {
    return this.#head.slots;
  }

  get mode(): StepMode | null {
    return this.#head.mode;
  }

  async write(name: string, values: Float32Array): Promise<void> {
    if (name === 'statistics') return this.#backbone.write(name, values);
    if (name !== 'parameters') return this.#head.write(name, values);
    const cut = this.#parts.backbone.parameterCount;
    await this.#backbone.write(name, values.slice(0, cut));
    await this.#head.write(name, values.slice(cut));
  }

  async read(name: string): Promise<Float32Array> {
    if (name === 'statistics') return this.#backbone.read(name);
    const head = await this.#head.read(name);
    return name === 'parameters' ? joinHead(await this.#backbone.read(name), head) : head;
  }

  /** As `Program.sums`, of features instead of images. */
  sums(batch: MicroBatch): Promise<Float32Array> {
    return this.#head.sums(batch);
  }

  /** As `Program.loneStep`, of features instead of images. */
  loneStep(batch: MicroBatch): Promise<StepMetrics> {
    return this.#head.loneStep(batch);
  }

  apply(mean: Float32Array, step: number): Promise<void> {
    return this.#head.apply(mean, step);
  }

  async predict(images: Float32Array, count: number): Promise<Float32Array> {
    return this.#head.predict(await this.#backbone.predict(images, count), count);
  }

  /** As `predict`, of features instead of images. */
  predictFeatures(features: Float32Array, count: number): Promise<Float32Array> {
    return this.#head.predict(features, count);
  }

  async close(): Promise<void> {
    await this.#backbone.close();
    await this.#head.close();
  }

  /**
   * The features of a data set's images as they are, in place of the images. Computed when first asked for, one request after
   * the other, so that none is computed twice; the images of those that wait are loaded meanwhile.
   */
  features(dataset: Dataset): ImageSource {
    const size = this.#parts.backbone.classes;
    const kept = new Map<number, Float32Array>();
    const keptMax = Math.floor(KEPT_BYTES_MAX / (Float32Array.BYTES_PER_ELEMENT * size));
    const isMissing = (id: number) => !kept.has(id);
    const collect = async (ids: Uint32Array, loaded: LoadedImages): Promise<Float32Array> => {
      const fresh = new Map<number, Float32Array>();
      // Those that were asked for before may have brought some of them by now.
      const missing = loaded.ids.filter(isMissing);
      if (missing.length > 0) {
        const images = missing.length === loaded.ids.length ? await loaded.images : await dataset.load(missing);
        const computed = await this.#backbone.predict(images, missing.length);
        for (const [row, id] of missing.entries()) {
          const features = computed.slice(row * size, (row + 1) * size);
          fresh.set(id, features);
          if (kept.size < keptMax) kept.set(id, features);
        }
      }
      const batch = new Float32Array(ids.length * size);
      for (const [row, id] of ids.entries()) batch.set((kept.get(id) ?? fresh.get(id)) as Float32Array, row * size);
      return batch;
    };
    let last: Promise<unknown> = Promise.resolve();
    const source = ({ ids }: ViewedSamples): RequestedImages => {
      const missing = Uint32Array.from(new Set(ids)).filter(isMissing);
      const images = missing.length === 0 ? EMPTY : dataset.load(missing);
      // While it waits for its turn nobody looks at it.
      images.catch(() => undefined);
      const features = last.then(() => collect(ids, { ids: missing, images }));
      last = features.catch(() => undefined);
      return { read: images, images: features };
    };
    return Object.assign(source, { prefetch: (ids: Uint32Array) => dataset.prefetch(ids.filter(isMissing)) });
  }
}
