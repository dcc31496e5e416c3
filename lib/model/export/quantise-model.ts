/** Quantises a trained model to eight bits, and measures what that costs. */
import { StillhouseError } from '../../base/errors.ts';
import { indexOfMax } from '../../base/vectors.ts';
import { canonicalJson } from '../../data/canonical-json.ts';
import type { Dataset } from '../../data/dataset.ts';
import { loadBatches } from '../../data/load-batches.ts';
import type { SplitName } from '../../data/manifest.ts';
import { selectSplits } from '../../data/splits.ts';
import { OnnxSession } from '../../engine/onnx-runtime.ts';
import { type DecodedArtefact, outputCount } from '../artefact.ts';
import { type ImageBatch, observeRanges } from './calibration.ts';
import { weightsOf } from './export-model.ts';
import { foldBatchNorm } from './fold-batch-norm.ts';
import { encodeFloatOnnx } from './onnx-float.ts';
import { encodeInt8Onnx, observedValues } from './onnx-int8.ts';
import { type BatchSize, describeArtefact, LOGITS } from './signature.ts';

export interface QuantisationRequest {
  /** Holds the classes of the model's parent in their order, and images of the model's input size. */
  readonly dataset: Dataset;
  /** Training images that show the range of every value. */
  readonly calibrationImages: number;
  /** Test images on which both models are measured. */
  readonly evaluationImages: number;
  readonly batchSize: BatchSize;
  readonly signal: AbortSignal;
}

export interface QuantisationReport {
  /** The data set's digest. */
  readonly dataset: string;
  readonly calibrationImages: number;
  readonly evaluatedImages: number;
  /** Shares of the evaluated images whose class is found, 0..1. */
  readonly accuracy: { readonly float32: number; readonly int8: number };
  /** Share of the evaluated images for which both models answer the same class. */
  readonly agreement: number;
}

export interface QuantisedModel {
  /** An `.onnx` file; the report is part of its metadata. */
  readonly bytes: Uint8Array;
  /** Size of the same model with float32 weights. */
  readonly floatBytes: number;
  readonly report: QuantisationReport;
}

const IMAGES_PER_CALL = 32;
/** Which images are taken: the same for everyone, so that two exports of a model are the same file. */
const SEED = 1;

/**
 * Post-training static quantisation, with ranges from training images.
 *
 * @throws StillhouseError INVALID_ARGUMENT when the data set does not fit the model or has too few images; what `exportModel`
 *   throws.
 */
export async function quantiseModel(artefact: DecodedArtefact, request: QuantisationRequest): Promise<QuantisedModel> {
  const { dataset, batchSize, signal } = request;
  const { preprocessing } = artefact.manifest;
  const weights = weightsOf(artefact);
  requireFit(artefact, dataset);
  const { calibration, evaluation } = selectImages(artefact, request);
  const batches = (ids: Uint32Array) => readBatches(dataset, ids, signal);

  const folded = foldBatchNorm(weights);
  const ranges = await observeRanges(folded, preprocessing, observedValues(folded), batches(calibration));
  const metadata = describeArtefact(artefact);
  const dynamic = { preprocessing, batchSize: 'dynamic', metadata } as const;
  const float = encodeFloatOnnx(weights, dynamic);
  const answers = {
    float32: await answersOf(float, artefact, batches(evaluation)),
    int8: await answersOf(encodeInt8Onnx(folded, dynamic, ranges), artefact, batches(evaluation)),
  };
  const { classIds } = artefact.manifest;
  const share = (isCounted: (id: number, row: number) => boolean) =>
    evaluation.filter(isCounted).length / evaluation.length;
  const accuracy = (found: readonly number[]) =>
    share((id, row) => classIds[found[row] as number] === dataset.labels[id]);
  const report: QuantisationReport = {
    dataset: dataset.digest,
    calibrationImages: calibration.length,
    evaluatedImages: evaluation.length,
    accuracy: { float32: accuracy(answers.float32), int8: accuracy(answers.int8) },
    agreement: share((_, row) => answers.float32[row] === answers.int8[row]),
  };
  const described = { ...metadata, 'stillhouse.quantisation': canonicalJson(report) };
  const bytes = encodeInt8Onnx(folded, { preprocessing, batchSize, metadata: described }, ranges);
  return { bytes, floatBytes: float.length, report };
}

function requireFit({ manifest }: DecodedArtefact, dataset: Dataset): void {
  const refuse = (problem: string) =>
    new StillhouseError('INVALID_ARGUMENT', `the data set ${dataset.name} ${problem}`, {
      field: 'calibrate',
      hint: 'calibrate with the data set that the model was trained on',
    });
  const { height, width, channels } = manifest.input;
  const sizeOf = (size: typeof dataset.image) => `${size.height}x${size.width}x${size.channels}`;
  if (sizeOf(dataset.image) !== sizeOf({ height, width, channels })) {
    throw refuse(`has images of ${sizeOf(dataset.image)}, but the model takes ${sizeOf(manifest.input)}`);
  }
  const missing = manifest.parentClassNames.find((name, index) => dataset.classNames[index] !== name);
  if (missing !== undefined) throw refuse(`does not have the model's class ${missing} in its place`);
}

/** Of the model's classes only; calibration takes training images, measuring takes test images. */
function selectImages(
  { manifest }: DecodedArtefact,
  { dataset, calibrationImages, evaluationImages }: QuantisationRequest,
): { calibration: Uint32Array; evaluation: Uint32Array } {
  const known = new Set(manifest.classIds);
  const idsOf = (split: SplitName) => dataset.idsOf(split).filter((id) => known.has(dataset.labels[id] as number));
  const require = (field: string, split: SplitName, count: number) => {
    const available = idsOf(split).length;
    if (count <= available) return;
    const message = `${field} is ${count}, but ${dataset.name} has ${available} ${split} images of the model's classes`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field });
  };
  require('calibration-images', 'train', calibrationImages);
  require('evaluate-images', 'test', evaluationImages);
  const splits = selectSplits({ idsOf }, { seed: SEED, train: calibrationImages, test: evaluationImages });
  return { calibration: splits.train, evaluation: splits.test };
}

async function* readBatches(dataset: Dataset, ids: Uint32Array, signal: AbortSignal): AsyncGenerator<ImageBatch> {
  for await (const batch of loadBatches(dataset, ids, IMAGES_PER_CALL, signal)) {
    yield { pixels: batch.images, count: batch.ids.length };
  }
}

/** The class that the model finds in every image. */
async function answersOf(
  model: Uint8Array,
  { manifest }: DecodedArtefact,
  batches: AsyncIterable<ImageBatch>,
): Promise<number[]> {
  const { height, width, channels } = manifest.input;
  const classes = manifest.classNames.length;
  const outputs = outputCount(manifest);
  const session = await OnnxSession.open(model);
  const answers: number[] = [];
  try {
    for await (const { pixels, count } of batches) {
      const logits = (await session.run(pixels, [count, height, width, channels])).get(LOGITS) as Float32Array;
      for (let row = 0; row < count; row++)
        answers.push(indexOfMax(logits.subarray(row * outputs, row * outputs + classes)));
    }
  } finally {
    await session.close();
  }
  return answers;
}
