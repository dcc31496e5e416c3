/** The specialist server: models of the registry behind the Open Inference Protocol. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { indexOfMax } from '../../lib/base/vectors.ts';
import { type ModelManifest, outputCount } from '../../lib/model/artefact.ts';
import type { Predictor } from '../../lib/model/predictor.ts';
import { shapeText, tensorError } from '../../lib/wire/oip/datatypes.ts';
import {
  IMAGE,
  type ImageInput,
  imageInputOf,
  imageInputs,
  LABEL,
  LOGITS,
  nameOfDigest,
  specialistOutputs,
} from '../../lib/wire/oip/image-signature.ts';
import { textTensor } from '../../lib/wire/oip/raw-tensor.ts';
import { respond, selectOutputs } from '../../lib/wire/oip/requests.ts';
import type {
  CallScope,
  InferenceBackend,
  InferRequest,
  InferResponse,
  ModelMetadata,
} from '../../lib/wire/oip/types.ts';
import { decodeImageFiles } from './image-files.ts';
import { type ModelAssignment, ModelRegistry, type RegistryOptions } from './model-registry.ts';

/** Rows per prediction: between two of them other requests have their turn, and a cancelled one ends. */
const SLICE_ROWS = 64;

export class SpecialistServer implements InferenceBackend {
  readonly serverName = 'stillhouse-specialist';
  readonly #registry: ModelRegistry;
  #isEnding = false;

  constructor(options: RegistryOptions) {
    this.#registry = new ModelRegistry(options);
  }

  /** Digests of the models that are served; none once it is ending, so that routers look elsewhere. */
  modelDigests(): string[] {
    return this.#isEnding ? [] : this.#registry.digests();
  }

  /**
   * Serves exactly these models from now on, each under its name and under its digest with '-' for ':'. New ones are
   * loaded before old ones are dropped; resolves when all answer. On an error nothing has changed.
   */
  serveModels(models: readonly ModelAssignment[]): Promise<void> {
    return this.#registry.assign(models);
  }

  /** Says no to readiness checks from now on; requests are still answered. */
  end(): void {
    this.#isEnding = true;
  }

  /** Closes all models after the last request has ended. */
  async close(): Promise<void> {
    this.end();
    await this.#registry.close();
  }

  live(): boolean {
    return true;
  }

  ready(): boolean {
    return this.modelDigests().length > 0;
  }

  modelReady(name: string, version: string): boolean {
    const found = this.#registry.find(name);
    return found !== undefined && isVersion(found.digest, version);
  }

  async metadata(name: string, version: string): Promise<ModelMetadata> {
    const { digest, manifest } = this.#find(name, version);
    return {
      name,
      versions: [nameOfDigest(digest)],
      platform: 'stillhouse_model',
      inputs: imageInputs(manifest.input.height, manifest.input.width),
      outputs: specialistOutputs(outputCount(manifest)),
    };
  }

  async infer(request: InferRequest, { signal }: CallScope): Promise<InferResponse> {
    const { digest } = this.#find(request.modelName, request.modelVersion);
    return this.#registry.use(digest, async ({ manifest, predictor }) => {
      selectOutputs(request, [LOGITS, LABEL]);
      const input = imageInputOf(request, manifest.input);
      const images = await pixelsOf(input, manifest, signal);
      const logits = await predictInSlices(predictor, images, input.rows, signal);
      return respond(request, nameOfDigest(digest), answerOf(logits, input.rows, manifest));
    });
  }

  #find(name: string, version: string): { digest: string; manifest: ModelManifest } {
    const found = this.#registry.find(name);
    if (found === undefined) throw new StillhouseError('NOT_FOUND', `there is no model "${name}" here`);
    if (isVersion(found.digest, version)) return found;
    throw new StillhouseError('NOT_FOUND', `model "${name}" has no version "${version}" here`, {
      hint: `its version is ${nameOfDigest(found.digest)}`,
    });
  }
}

function isVersion(digest: string, version: string): boolean {
  return version === '' || version === digest || version === nameOfDigest(digest);
}

/** [rows, height, width, 3], in a buffer of its own. */
async function pixelsOf(input: ImageInput, manifest: ModelManifest, signal: AbortSignal): Promise<Float32Array> {
  const { values } = input.tensor;
  if (input.kind !== IMAGE) return decodeImageFiles(values as readonly Uint8Array[], manifest.input, signal);
  if (!(values instanceof Float32Array)) return new Float32Array(values as Uint8Array);
  const broken = values.findIndex((value) => !Number.isFinite(value));
  // A copy: the values lie in the request's message, the predictor wants a buffer of its own.
  if (broken < 0) return values.slice();
  const row = Math.floor(broken / (values.length / input.rows));
  throw tensorError(IMAGE, `row ${row} holds ${values[broken]}, expected numbers from 0 to 255`);
}

/** The logits of all rows. `images` must be a buffer of its own: the predictor may take it over. */
async function predictInSlices(
  predictor: Predictor,
  images: Float32Array,
  rows: number,
  signal: AbortSignal,
): Promise<Float32Array> {
  const slices: Float32Array[] = [];
  const valuesPerRow = images.length / rows;
  for (let start = 0; start < rows; start += SLICE_ROWS) {
    signal.throwIfAborted();
    const end = Math.min(rows, start + SLICE_ROWS);
    const isAll = end - start === rows;
    const slice = isAll ? images : images.slice(start * valuesPerRow, end * valuesPerRow);
    slices.push(await predictor.predict(slice, end - start));
  }
  const logits = new Float32Array(slices.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const slice of slices) {
    logits.set(slice, offset);
    offset += slice.length;
  }
  return logits;
}

function answerOf(logits: Float32Array, rows: number, manifest: ModelManifest) {
  const outputs = outputCount(manifest);
  const shape = [rows, outputs];
  if (logits.length !== rows * outputs) {
    throw new StillhouseError('INTERNAL', `the model answered ${logits.length} logits, expected ${shapeText(shape)}`);
  }
  const labels = Array.from({ length: rows }, (_, row) => {
    // A dustbin names no class: the label is the best of the model's own.
    const own = logits.subarray(row * outputs, row * outputs + manifest.classNames.length);
    return manifest.classNames[indexOfMax(own)] as string;
  });
  return [{ name: LOGITS, datatype: 'FP32' as const, shape, values: logits }, textTensor(LABEL, labels)];
}
