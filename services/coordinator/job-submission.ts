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
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { storesLogits } from '../../lib/wire/teaching.ts';
import type { InitialModels } from './initial-models.ts';
import { plannedPhases } from './job-plan.ts';
import type { JobRecord, JobScopeName } from './job-record.ts';
import type { JobStore } from './job-store.ts';
import { skippedSamples } from './skipped-samples.ts';

const KEY_CHARACTERS_MAX = 128;

export interface Submission {
  /** The job file, YAML or JSON. */
  readonly text: string;
  readonly idempotencyKey: string;
  readonly scope: JobScopeName;
}

/** Answers the new job's record, or the one that the key has named before. Creates it in the store. */
export async function submitJob(
  store: JobStore,
  datasets: Datasets,
  initialModels: InitialModels,
  submission: Submission,
): Promise<JobRecord> {
  const { text, idempotencyKey, scope } = submission;
  if (idempotencyKey.length > KEY_CHARACTERS_MAX) {
    throw new StillhouseError(
      'INVALID_ARGUMENT',
      `the idempotency key has ${idempotencyKey.length} characters, at most ${KEY_CHARACTERS_MAX} are allowed`,
      { field: 'idempotency_key' },
    );
  }
  const file = readJobFile(text);
  requireModuleCode(file.spec);
  const submittedDigest = digestOf(file.spec, scope);
  const known = idempotencyKey === '' ? undefined : store.list().find((job) => job.idempotencyKey === idempotencyKey);
  if (known !== undefined) {
    if (known.submittedDigest === submittedDigest) return known;
    throw new StillhouseError(
      'ALREADY_EXISTS',
      `job ${known.id} was submitted by this key with another job file or scope`,
      {
        field: 'idempotency_key',
        hint: 'choose another key',
      },
    );
  }
  validateJob(file.spec, undefined, file.locate);
  if (scope === 'LABEL') requireStoredLogits(file.spec);
  const dataset = await openJobData(datasets, file.spec.data);
  const spec = await initialModels.resolve(file.spec, dataset);
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
    phases: plannedPhases(spec, scope),
    specJson: canonicalJson(spec),
    datasetDigest: dataset.digest,
    skippedSamples: skippedSamples(dataset.badSamples),
    createdAt: wallClockIso(),
    endedAt: '',
    revision: 1,
    idempotencyKey,
    submittedDigest,
    scope,
  };
  await store.create(record);
  return record;
}

/** Of what was asked for: a whole job has the digest of its file. */
function digestOf(spec: JobSpec, scope: JobScopeName): string {
  const file = canonicalJson(spec);
  return scope === 'ALL' ? sha256(file) : sha256(file, scope);
}

/** @throws INVALID_ARGUMENT when there would be nothing to keep of what the teachers answer */
function requireStoredLogits(spec: JobSpec): void {
  const index = spec.teachers.findIndex(({ name }) => !storesLogits(spec, name));
  if (index === -1) return;
  const { mode } = spec.distill.cache;
  const cause = mode === 'off' ? 'distill.cache.mode is off' : `teachers[${index}] sees a new view in each epoch`;
  const field = mode === 'off' ? 'distill.cache.mode' : `teachers[${index}].views`;
  const message = `${field}: logits are to be stored, and of ${spec.teachers[index]?.name} none are, because ${cause}`;
  const hint = mode === 'off' ? 'leave it out' : 'give its views a cycle, or turn them off';
  throw new StillhouseError('INVALID_ARGUMENT', message, { field, hint });
}
