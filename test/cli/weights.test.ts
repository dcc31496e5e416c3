import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { readArtefactFolder } from '../../lib/model/artefact.ts';
import { describeModel, exportTensors, initialParameters, initialStatistics } from '../../lib/model/parameters.ts';
import { encodeSafetensors } from '../../lib/model/safetensors.ts';
import { architectureNamed } from '../../lib/model/zoo.ts';
import { runCli } from '../helpers/cli.ts';
import { dictPickle, op, torchZip, tupleOf } from '../helpers/pickle-writer.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

const torchFiles = fileURLToPath(new URL('../fixtures/torch/', import.meta.url));

test('inspect shows every tensor, and as JSON the same', async (t) => {
  const file = path.join(torchFiles, 'checkpoint.zip.pth');
  const { code, out } = await runCli(t, ['weights', 'inspect', file]);
  t.is(code, 0);
  t.regex(out, /checkpoint\.zip\.pth: torch-zip, 2 tensors, 12 values/);
  t.regex(out, /state dict: under state_dict/);
  t.regex(out, /left aside: epoch, best, arch, optimizer/);
  t.regex(out, /fits no architecture/);
  t.regex(out, /fc\.weight +F32 +\[2, 5\] +10 +-0\.6250 +0\.5000 +-0\.06250/);
  const json = JSON.parse((await runCli(t, ['weights', 'inspect', file, '--json'])).out);
  t.like(json, { format: 'torch-zip', values: 12, stateDict: 'state_dict', fits: [] });
  t.like(json.tensors[0], { name: 'fc.weight', type: 'F32', shape: [2, 5], values: 10, min: -0.625, notFinite: 0 });
});

test('import writes a model that can be read, once', async (t) => {
  const folder = await tempFolder(t);
  const model = describeModel(architectureNamed('resnet-8'), { height: 32, width: 32, channels: 3 }, 3);
  const weights = exportTensors(model, initialParameters(model, 1), initialStatistics(model));
  const file = path.join(folder, 'resnet8.safetensors');
  await writeFile(file, encodeSafetensors(weights));
  await writeFile(path.join(folder, 'classes.txt'), 'ash\nbeech\r\ncedar\n');
  const out = path.join(folder, 'model');
  const args = ['weights', 'import', file, '--out', out, '--classes', path.join(folder, 'classes.txt')];
  const norm = ['--mean', '0.4914,0.4822,0.4465', '--std', '0.247,0.2435,0.2616'];
  const { code, err } = await runCli(t, [...args, ...norm]);
  t.is(code, 0, err);
  const { manifest, tensors } = await readArtefactFolder(out);
  t.deepEqual(manifest.classNames, ['ash', 'beech', 'cedar']);
  t.deepEqual(manifest.preprocessing.std, [0.247, 0.2435, 0.2616]);
  t.deepEqual(new Map([...tensors].sort()), new Map([...weights].sort()));
  const other = await runCli(t, [...args, ...norm, '--name', 'another']);
  t.is(other.code, 1);
  t.regex(other.err, /exists and does not hold the model/);
});

test('what cannot be read is refused in one line, and nothing is written', async (t) => {
  const folder = await tempFolder(t);
  const evil = path.join(folder, 'evil.pth');
  const call = Buffer.concat([op.global('os', 'system'), tupleOf(op.string('true')), op.reduce]);
  await writeFile(evil, torchZip(dictPickle({ call })));
  const out = path.join(folder, 'out');
  const { code, err } = await runCli(t, ['weights', 'import', evil, '--arch', 'resnet-18', '--out', out]);
  t.is(code, 1);
  t.regex(err, /^stillhouse: .*evil\.pth: the pickle holds "os\.system".*refused.*\n$/);
  await t.throwsAsync(readArtefactFolder(out), { code: 'NOT_FOUND' });
  t.is((await runCli(t, ['weights', 'import', evil, '--out', out, '--mean', '1,2'])).code, 2);
});
