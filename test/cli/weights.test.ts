import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { stringify } from 'yaml';
import { resolveArchitecture } from '../../lib/model/architecture-choice.ts';
import { readArtefactFolder } from '../../lib/model/artefact.ts';
import { networkOf } from '../../lib/model/manifest-network.ts';
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

test('import takes layers of the user’s own from a file', async (t) => {
  const folder = await tempFolder(t);
  const layers = [
    { kind: 'conv2d', name: 'stem', filters: 4, kernel: 3, padding: 1 },
    { kind: 'global-average-pool' },
    { kind: 'linear', name: 'head', features: 'classes' },
  ];
  const architecture = { name: 'mine', layers };
  const input = { height: 32, width: 32, channels: 3 };
  const model = describeModel(resolveArchitecture(architecture), input, 2);
  const weights = path.join(folder, 'mine.safetensors');
  const tensors = exportTensors(model, initialParameters(model, 1), initialStatistics(model));
  await writeFile(weights, encodeSafetensors(tensors));
  const arch = path.join(folder, 'net.yaml');
  await writeFile(arch, stringify(architecture));
  await writeFile(path.join(folder, 'classes.txt'), 'ash\nbeech\n');
  const out = path.join(folder, 'model');
  const about = ['--classes', path.join(folder, 'classes.txt'), '--mean', '0,0,0', '--std', '1,1,1', '--out', out];
  const missing = await runCli(t, ['weights', 'import', weights, '--arch', `${folder}/none.yaml`, ...about]);
  t.is(missing.code, 1);
  t.regex(missing.err, /cannot read .*none\.yaml: there is no such file/);
  const { code, err } = await runCli(t, ['weights', 'import', weights, '--arch', arch, ...about]);
  t.is(code, 0, err);
  const { manifest } = await readArtefactFolder(out);
  t.deepEqual(networkOf(manifest).parameters, model.parameters);
  t.is(manifest.architecture.name, 'mine');
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
