import test from 'ava';
import { architectureNames } from '../../lib/model/zoo.ts';
import { runCli } from '../helpers/cli.ts';

test('architectures are listed with their sizes, for people and for programs', async (t) => {
  const { code, out } = await runCli(t, ['architectures']);
  t.is(code, 0);
  const lines = out.trimEnd().split('\n');
  t.regex(lines[0] ?? '', /^NAME +IMAGES +PARAMETERS/);
  t.deepEqual(
    lines.slice(1).map((line) => line.split(' ')[0]),
    [...architectureNames],
  );
  // Table 6 of the ResNet paper: 0.27 M; torchvision's ResNet-18 with 10 classes.
  t.regex(out, /^resnet-20 +32 +272,474 /m);
  t.regex(out, /^resnet-18 +224 +11,181,642 /m);

  const json = await runCli(t, ['architectures', '--json']);
  t.deepEqual(
    JSON.parse(json.out).map(({ name }: { name: string }) => name),
    [...architectureNames],
  );
});
