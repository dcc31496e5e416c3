/** Teachers in our own format: what the job has trained, a student that teaches others, weights that it brought along. */
import { StillhouseError } from '../../base/errors.ts';
import { loadModel } from '../../checkpoint/models.ts';
import type { Dataset } from '../../data/dataset.ts';
import { openModel } from '../../distill/predictor.ts';
import { type ModelManifest, outputCount } from '../../model/artefact.ts';
import { networkOf } from '../../model/manifest-network.ts';
import { requireFinite } from './answers.ts';
import type { OpenTeacherRequest, TeacherModel } from './teacher-model.ts';

export interface ArtefactPlace {
  /** In the object store. */
  readonly digest: string;
  /** Whether it was there before the job: then it may have been trained on anything. */
  readonly isGiven: boolean;
}

/** @throws what `loadModel` and `Compute.open` throw; FAILED_PRECONDITION when the job has trained it on other data */
export async function openArtefact(request: OpenTeacherRequest, place: ArtefactPlace): Promise<TeacherModel> {
  const { objects, compute, dataset, teacher, batchSizes } = request;
  const { manifest, tensors, digest } = await loadModel(objects, place.digest);
  if (!place.isGiven) requireSameData(digest, manifest, dataset);
  const sizes = batchSizes.length === 0 ? undefined : batchSizes;
  const program = await openModel(compute, manifest, tensors, sizes, dataset.image);
  const { classNames } = manifest;
  return {
    digest,
    classNames,
    parameters: networkOf(manifest).parameterCount,
    predict: async (images, count) => {
      const outputs = await program.predict(images, count);
      const logits = withoutDustbin(outputs, count, manifest);
      requireFinite(logits, classNames, `teacher ${teacher}`);
      return logits;
    },
    close: () => program.close(),
  };
}

/** What a student says of images of no class of its own is nothing that it can teach. */
function withoutDustbin(outputs: Float32Array, rows: number, manifest: ModelManifest): Float32Array {
  const columns = outputCount(manifest);
  const classes = manifest.classNames.length;
  if (columns === classes) return outputs;
  const logits = new Float32Array(rows * classes);
  for (let row = 0; row < rows; row++) {
    logits.set(outputs.subarray(row * columns, row * columns + classes), row * classes);
  }
  return logits;
}

function requireSameData(digest: string, { lineage, parentClassNames }: ModelManifest, dataset: Dataset): void {
  if (lineage.arm !== 'imported' && lineage.dataset !== dataset.digest) {
    throw new StillhouseError('FAILED_PRECONDITION', `teacher ${digest} was not trained on the job's data set`);
  }
  if (parentClassNames.join() !== dataset.classNames.join()) {
    throw new StillhouseError('FAILED_PRECONDITION', `teacher ${digest} has other classes than the job's data set`);
  }
}
