/** The data set of a job, made of those that it names as it says: everyone after this sees one plain data set. */
import { StillhouseError } from '../base/errors.ts';
import { type ClassSubset, resolveClasses } from '../data/class-map.ts';
import type { Dataset } from '../data/dataset.ts';
import { joinDomains, matchClasses } from '../data/joined-dataset.ts';
import type { RecordDataset } from '../data/record-dataset.ts';
import { restrictDataset } from '../data/restricted-dataset.ts';
import { BAD_SAMPLES_MAX } from '../data/sharded-manifest.ts';
import type { Datasets } from './datasets.ts';
import type { DataSpec } from './job-spec.ts';

/**
 * Opens what `data.dataset` and `data.source` name, of the classes that the job knows. The digest is the data set's own where
 * the job takes it as it is, and follows from the job's choice otherwise. What is opened belongs to `datasets`.
 *
 * @throws StillhouseError INVALID_ARGUMENT, with the field, for classes that are not there, or of which one domain has no
 *   counterpart; FAILED_PRECONDITION, field `data.badSamples`, for more damaged samples than the job allows; what
 *   `Datasets.open` throws
 */
export async function openJobData(datasets: Pick<Datasets, 'open'>, data: DataSpec): Promise<Dataset> {
  const target = await datasets.open(data.dataset);
  const wanted = data.classes === undefined ? null : resolveClasses(data.classes, target.classNames, 'data.classes');
  const source = data.source === undefined ? null : await openSource(datasets, data.source, target, wanted);
  const ofClasses = wanted === null ? target : restrictDataset(target, wanted);
  const dataset = source === null ? ofClasses : joinDomains(ofClasses, source);
  refuseBadSamples(dataset, data.badSamples);
  return dataset;
}

async function openSource(
  datasets: Pick<Datasets, 'open'>,
  { dataset, match }: NonNullable<DataSpec['source']>,
  target: Dataset,
  wanted: ClassSubset | null,
): Promise<RecordDataset> {
  const source = await datasets.open(dataset).catch((thrown) => {
    const { code, message, hint } = StillhouseError.from(thrown);
    const details = { field: 'data.source.dataset', cause: thrown, ...(hint !== undefined && { hint }) };
    throw new StillhouseError(code, `data.source.dataset: ${message.replace(/^data\.dataset: /, '')}`, details);
  });
  if (source.digest === target.digest) {
    // Its images for calibration would be trained on.
    const message = `data.source.dataset: ${source.name} is the target itself, expected another domain`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: 'data.source.dataset' });
  }
  return restrictDataset(source, matchClasses({ target, wanted, source, match }));
}

function refuseBadSamples({ name, badSamples }: Dataset, policy: DataSpec['badSamples']): void {
  const [first] = badSamples;
  const allowed = policy === 'fail' ? 0 : policy.skip;
  if (first === undefined || badSamples.length <= allowed) return;
  const count = badSamples.length === 1 ? 'a damaged sample' : `${badSamples.length} damaged samples`;
  const limit = policy === 'fail' ? '' : `, more than the ${allowed} that may be skipped`;
  const repair = 'repair the files and import the data set again';
  const which = `sample ${first.id}, ${first.source}: ${first.reason}`;
  throw new StillhouseError(
    'FAILED_PRECONDITION',
    `data.badSamples: ${name} has ${count}${limit}; the first is ${which}`,
    {
      field: 'data.badSamples',
      hint:
        badSamples.length > BAD_SAMPLES_MAX
          ? `${repair}: a job goes on without at most ${BAD_SAMPLES_MAX}`
          : `${repair}, or let the job go on without them: {skip: ${badSamples.length}}`,
    },
  );
}
