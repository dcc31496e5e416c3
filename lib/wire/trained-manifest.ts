/** The manifest of a model that a job has trained. */
import { sha256 } from '../base/digest.ts';
import { canonicalJson } from '../data/canonical-json.ts';
import type { Dataset } from '../data/dataset.ts';
import type { ModelManifest } from '../model/artefact.ts';
import { manifestArchitecture } from '../model/manifest-network.ts';
import type { ModelPlan } from './job-plan.ts';
import type { JobSpec } from './job-spec.ts';

export function jobSpecDigest(job: JobSpec): string {
  return sha256(canonicalJson(job));
}

/** What the artefact says of a trained model. */
export function manifestOf(
  jobId: string,
  job: JobSpec,
  dataset: Dataset,
  plan: ModelPlan,
  facts: { readonly teachers: readonly string[]; readonly metrics: Readonly<Record<string, number>> },
): Omit<ModelManifest, 'weights'> {
  const [teacher = null, ...others] = facts.teachers;
  return {
    formatVersion: 1,
    name: `${job.name}/${plan.name}`,
    architecture: manifestArchitecture(plan.architecture, plan.program.model.input, dataset.image),
    classNames: plan.classes.classNames,
    classIds: [...plan.classes.classIds],
    ...(plan.dustbin && { dustbin: true }),
    parentClassNames: [...dataset.classNames],
    input: dataset.image,
    preprocessing: { scale: '0..1', ...plan.program.preprocessing },
    calibration: null,
    metrics: facts.metrics,
    lineage: {
      job: jobId,
      jobSpecDigest: jobSpecDigest(job),
      dataset: dataset.digest,
      teacher,
      ...(others.length > 0 && { teachers: facts.teachers }),
      arm: plan.arm,
    },
  };
}
