import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { readJob } from '../../cli/job-input.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

test('a relative path to a data set is meant from the current folder', async (t) => {
  const file = path.join(await tempFolder(t), 'job.yaml');
  const datasetOf = async (dataset: string) => {
    const text = `{apiVersion: stillhouse/v1, kind: Job, name: demo, data: {dataset: "${dataset}"},
      teachers: [{name: big, arch: resnet-8}], students: [{name: few, arch: simple-cnn}]}`;
    await writeFile(file, text);
    return (await readJob(file, { set: [], quick: false })).spec.data.dataset;
  };
  t.is(await datasetOf('./data/trees'), path.resolve('data/trees'));
  t.is(await datasetOf('../trees'), path.resolve('../trees'));
  t.is(await datasetOf('/data/trees'), '/data/trees');
  t.is(await datasetOf('trees'), 'trees');
});
