/** From a submitted job file to a queued job: everything that can be refused is refused here. */
import { wallClockIso } from '../../lib/base/clock.ts';
import { sha256 } from '../../lib/base/digest.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { uniqueId } from '../../lib/base/random.ts';
import { canonicalJson } from '../../lib/data/canonical-json.ts';
import type { Datasets } from '../../lib/wire/datasets.ts';
import { openJobData } from '../../lib/wire/job-data.ts';
import { readJobFile, validateJob } from '../../lib/wire/job-file.ts';
import { requireModuleCode } from '../../lib/wire/job-losses.ts';
import { checkNetworks } from '../../lib/wire/job-networks.ts';
import { checkRoutes } from '../../lib/wire/job-routes.ts';
import { checkSamples } from '../../lib/wire/job-samples.ts';
import type { InitialModels } from './initial-models.ts';
import { plannedPhases } from './job-plan.ts';
import type { JobRecord } from './job-record.ts';
import type { JobStore } from './job-store.ts';
import { skippedSamples } from './skipped-samples.ts';

const KEY_CHARACTERS_MAX = 128;

export interface Submission {
  /** The job file, YAML or JSON. */
  readonly text: string;
  readonly idempotencyKey: string;
}

/** Answers the new job's record, or the one that the key has named before. Creates it in the store. */
export async function submitJob(
  store: JobStore,
  datasets: Datasets,
  initialModels: InitialModels,
  submission: Submission,
): Promise<JobRecord> {
  const { text, idempotencyKey } = submission;
  if (idempotencyKey.length > KEY_CHARACTERS_MAX) {
    throw new StillhouseError(
      'INVALID_ARGUMENT',
      `the idempotency key has ${idempotencyKey.length} characters, at most ${KEY_CHARACTERS_MAX} are allowed`,
      { field: 'idempotency_key' },
    );
  }
  const file = readJobFile(text);
  requireModuleCode(file.spec);
  const submittedDigest = sha256(canonicalJson(file.spec));
  const known = idempotencyKey === '' ? undefined : store.list().find((job) => job.idempotencyKey === idempotencyKey);
  if (known !== undefined) {
    if (known.submittedDigest === submittedDigest) return known;
    throw new StillhouseError('ALREADY_EXISTS', `job ${known.id} was submitted by this key with another job file`, {
      field: 'idempotency_key',
      hint: 'choose another key',
    });
  }
  validateJob(file.spec, undefined, file.locate);
  const dataset = await openJobData(datasets, file.spec.data);
  const spec = await initialModels.resolve(file.spec, dataset.image);
  validateJob(spec, dataset.classNames, file.locate);
  checkRoutes(spec, dataset.classNames);
  checkNetworks(spec, dataset);
  await checkSamples(spec, dataset);
  await initialModels.check(spec, dataset);
  const record: JobRecord = {
    id: uniqueId(spec.name),
    name: spec.name,
    sequence: store.nextSequence(),
    state: 'QUEUED',
    message: 'waits for its turn',
    phases: plannedPhases(spec),
    specJson: canonicalJson(spec),
    datasetDigest: dataset.digest,
    skippedSamples: skippedSamples(dataset.badSamples),
    createdAt: wallClockIso(),
    endedAt: '',
    revision: 1,
    idempotencyKey,
    submittedDigest,
  };
  await store.create(record);
  return record;
}
