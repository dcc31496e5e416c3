import test from 'ava';
import sharp from 'sharp';
import { sleep } from '../../../lib/base/clock.ts';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { OipClient, outputOf } from '../../../lib/wire/oip/client.ts';
import { nameOfDigest } from '../../../lib/wire/oip/image-signature.ts';
import { textValues } from '../../../lib/wire/oip/raw-tensor.ts';
import { serveInference } from '../../../lib/wire/oip/server.ts';
import type { OipTensor } from '../../../lib/wire/oip/types.ts';
import { SpecialistServer } from '../../../services/student-worker/serve.ts';
import { LinearPredictor, logitsOfColours, manifestOf, randomImages, SIZE } from '../../helpers/linear-model.ts';
import { testLogger } from '../../helpers/logger.ts';

const LIMITS = { timeoutMs: 10_000 };
const WEIGHTS = [
  [3, 0, 0],
  [0, 3, 0],
  [0, 0, 3],
] as const;
const CLASSES = ['red', 'green', 'blue'];
const A = sha256('a');
const B = sha256('b');

async function start(t: import('ava').ExecutionContext, retireAfterMs = 0) {
  /** Every predictor ever loaded, by digest. */
  const loaded = new Map<string, LinearPredictor[]>();
  const specialist = new SpecialistServer({
    load: async (digest) => {
      if (digest !== A && digest !== B) throw new StillhouseError('NOT_FOUND', `there is no object ${digest}`);
      const predictor = new LinearPredictor(WEIGHTS);
      loaded.set(digest, [...(loaded.get(digest) ?? []), predictor]);
      return { manifest: manifestOf('colours', CLASSES), predictor };
    },
    retireAfterMs,
    logger: testLogger(),
  });
  const ports = { host: '127.0.0.1', port: 0, httpPort: 0, healthPort: 0 };
  const server = await serveInference(specialist, ports, testLogger());
  t.teardown(async () => {
    await server.stop(1_000);
    await specialist.close();
  });
  const client = new OipClient(`127.0.0.1:${server.port}`);
  t.teardown(() => client.close());
  return { specialist, client, loaded, base: `http://127.0.0.1:${server.httpPort}` };
}

function imageTensor(pixels: Uint8Array | Float32Array): OipTensor {
  const rows = pixels.length / (SIZE.height * SIZE.width * 3);
  const datatype = pixels instanceof Uint8Array ? 'UINT8' : 'FP32';
  return { name: 'image', datatype, shape: [rows, SIZE.height, SIZE.width, 3], values: pixels };
}

function filesTensor(files: Uint8Array[]): OipTensor {
  return { name: 'image_bytes', datatype: 'BYTES', shape: [files.length], values: files };
}

function png(pixels: Uint8Array, size = SIZE): Promise<Buffer> {
  return sharp(pixels, { raw: { ...size, channels: 3 } })
    .png()
    .toBuffer();
}

test('the same picture as UINT8, FP32 and PNG gives the same logits and label, under the name and the digest', async (t) => {
  const { specialist, client } = await start(t);
  await specialist.serveModels([{ name: 'route.colours', digest: A }]);
  const random = createRandom(1);
  const pixels = randomImages(3, (bound) => random.nextInt(bound));
  const row = (index: number) => pixels.subarray(index * 48, (index + 1) * 48);
  const files = await Promise.all([0, 1, 2].map((index) => png(row(index))));
  const expected = logitsOfColours(WEIGHTS, pixels, 3);
  const inputs = [imageTensor(pixels), imageTensor(Float32Array.from(pixels)), filesTensor(files)];
  for (const input of inputs) {
    for (const modelName of ['route.colours', nameOfDigest(A)]) {
      const response = await client.infer({ modelName, inputs: [input] }, LIMITS);
      t.is(response.modelVersion, nameOfDigest(A));
      t.deepEqual(outputOf(response, 'logits').values, expected);
      t.deepEqual(outputOf(response, 'logits').shape, [3, 3]);
      const labels = [0, 1, 2].map((index) => {
        const logits = [...expected.subarray(index * 3, index * 3 + 3)];
        return CLASSES[logits.indexOf(Math.max(...logits))];
      });
      t.deepEqual(textValues(outputOf(response, 'label')), labels as string[]);
    }
  }
  const labelOnly = await client.infer(
    { modelName: 'route.colours', inputs: [inputs[0] as OipTensor], outputs: ['label'] },
    LIMITS,
  );
  t.deepEqual(
    labelOnly.outputs.map(({ name }) => name),
    ['label'],
  );
});

test('pictures of another size and kind are converted', async (t) => {
  const { specialist, client } = await start(t);
  await specialist.serveModels([{ name: 'm', digest: A }]);
  const size = { height: 30, width: 50 };
  const green = Uint8Array.from({ length: size.height * size.width * 3 }, (_, index) => (index % 3 === 1 ? 200 : 10));
  const raw = () => sharp(green, { raw: { ...size, channels: 3 } });
  const files = [await raw().jpeg().toBuffer(), await raw().ensureAlpha(0.5).png().toBuffer()];
  const grey = await raw().greyscale().png().toBuffer();
  const response = await client.infer({ modelName: 'm', inputs: [filesTensor([...files, grey])] }, LIMITS);
  t.deepEqual(textValues(outputOf(response, 'label')).slice(0, 2), ['green', 'green']);
  const logits = outputOf(response, 'logits').values as Float32Array;
  t.is(logits[6], logits[7], 'grey is equally red and green');
});

test('metadata and readiness follow what is served', async (t) => {
  const { specialist, client, base } = await start(t);
  t.false(await client.serverReady(LIMITS));
  t.deepEqual(specialist.modelDigests(), []);
  await specialist.serveModels([{ name: 'm', digest: A }]);
  t.true(await client.serverReady(LIMITS));
  t.true(await client.modelReady(nameOfDigest(A), '', LIMITS));
  t.false(await client.modelReady('m', 'sha256-0', LIMITS));
  t.deepEqual(await client.metadata('m', nameOfDigest(A), LIMITS), {
    name: 'm',
    versions: [nameOfDigest(A)],
    platform: 'stillhouse_model',
    inputs: [
      { name: 'image', datatype: 'FP32', shape: [-1, 4, 4, 3] },
      { name: 'image_bytes', datatype: 'BYTES', shape: [-1] },
    ],
    outputs: [
      { name: 'logits', datatype: 'FP32', shape: [-1, 3] },
      { name: 'label', datatype: 'BYTES', shape: [-1] },
    ],
  });
  t.is((await fetch(`${base}/v2/models/m/versions/${nameOfDigest(A)}/ready`)).status, 200);
  specialist.end();
  t.false(await client.serverReady(LIMITS));
  t.deepEqual(specialist.modelDigests(), []);
});

test('requests that do not fit are refused, naming the input and the row', async (t) => {
  const { specialist, client } = await start(t);
  await specialist.serveModels([{ name: 'm', digest: A }]);
  const good = imageTensor(new Uint8Array(48));
  const file = await png(new Uint8Array(48));
  const cases: [OipTensor[], RegExp, string | undefined][] = [
    [[], /no input, expected one input, "image" or "image_bytes"/, undefined],
    [[{ ...good, name: 'picture' }], /"picture" is unknown/, 'picture'],
    [[good, filesTensor([file])], /"image_bytes" is too many/, 'image_bytes'],
    [[{ ...good, shape: [1, 3, 4, 4] }], /shape \[1,3,4,4\], expected \[-1,4,4,3\]/, 'image'],
    [[{ ...good, shape: [4, 4, 3] }], /shape \[4,4,3\]/, 'image'],
    [[{ ...good, shape: [0, 4, 4, 3], values: new Uint8Array(0) }], /no rows/, 'image'],
    [[{ ...good, datatype: 'FP64', values: new Float64Array(48) }], /FP64, expected FP32 or UINT8/, 'image'],
    [[imageTensor(new Float32Array(96).fill(Number.NaN, 60, 61))], /row 1 holds NaN/, 'image'],
    [[{ ...filesTensor([file]), shape: [1, 1] }], /shape \[1,1\], expected \[-1\]/, 'image_bytes'],
    [[{ ...good, name: 'image_bytes' }], /is UINT8, expected BYTES/, 'image_bytes'],
    [[filesTensor([file, Buffer.from('GIF89a')])], /row 1 is neither a JPEG nor a PNG/, 'image_bytes'],
    [[filesTensor([file, file.subarray(0, 60)])], /row 1 cannot be decoded/, 'image_bytes'],
  ];
  for (const [inputs, reason, field] of cases) {
    const error = (await t.throwsAsync(client.infer({ modelName: 'm', inputs }, LIMITS))) as StillhouseError;
    t.regex(error.message, reason);
    t.is(error.code, 'INVALID_ARGUMENT');
    t.is(error.field, field);
  }
  const output = client.infer({ modelName: 'm', inputs: [good], outputs: ['probs'] }, LIMITS);
  await t.throwsAsync(output, { message: /no output "probs"/ });
  const other = client.infer({ modelName: 'other', inputs: [good] }, LIMITS);
  t.is(((await t.throwsAsync(other)) as StillhouseError).code, 'NOT_FOUND');
});

test('many rows are predicted in slices; too many are refused', async (t) => {
  const { specialist, client, loaded } = await start(t);
  await specialist.serveModels([{ name: 'm', digest: A }]);
  const predictor = loaded.get(A)?.[0] as LinearPredictor;
  const random = createRandom(2);
  const pixels = randomImages(130, (bound) => random.nextInt(bound));
  const response = await client.infer({ modelName: 'm', inputs: [imageTensor(pixels)] }, LIMITS);
  t.deepEqual(outputOf(response, 'logits').values, logitsOfColours(WEIGHTS, pixels, 130));
  t.is(predictor.calls, 3);
  const most = await client.infer({ modelName: 'm', inputs: [imageTensor(new Uint8Array(1024 * 48))] }, LIMITS);
  t.is(textValues(outputOf(most, 'label')).length, 1024);
  const tooMany = client.infer({ modelName: 'm', inputs: [imageTensor(new Uint8Array(1025 * 48))] }, LIMITS);
  const error = await t.throwsAsync<StillhouseError>(tooMany, { message: /1025 rows, expected at most 1024/ });
  t.like(error, { code: 'INVALID_ARGUMENT', field: 'image' });
});

test('a cancelled request ends between two slices', async (t) => {
  const { specialist, loaded } = await start(t);
  await specialist.serveModels([{ name: 'm', digest: A }]);
  const predictor = loaded.get(A)?.[0] as LinearPredictor;
  let release = () => {};
  predictor.hold = new Promise<void>((resolve) => {
    release = resolve;
  });
  const controller = new AbortController();
  const request = {
    modelName: 'm',
    modelVersion: '',
    id: '',
    parameters: {},
    inputs: [imageTensor(new Uint8Array(130 * 48))],
    outputs: [],
  };
  const running = specialist.infer(request, { signal: controller.signal });
  while (predictor.calls === 0) await sleep(1);
  controller.abort(new StillhouseError('CANCELLED', 'the client is gone'));
  release();
  await t.throwsAsync(running, { message: 'the client is gone' });
  t.is(predictor.calls, 1);
});

test('models are exchanged without a gap; the old one is closed after its last request', async (t) => {
  const { specialist, client, loaded } = await start(t);
  const input = imageTensor(new Uint8Array(48));
  await specialist.serveModels([{ name: 'm', digest: A }]);
  const old = loaded.get(A)?.[0] as LinearPredictor;
  let open = () => {};
  old.hold = new Promise<void>((resolve) => {
    open = resolve;
  });
  const running = client.infer({ modelName: 'm', inputs: [input] }, LIMITS);
  while (old.calls === 0) await sleep(1);
  await specialist.serveModels([{ name: 'm', digest: B }]);
  const next = await client.infer({ modelName: 'm', inputs: [input] }, LIMITS);
  t.is(next.modelVersion, nameOfDigest(B));
  t.deepEqual(specialist.modelDigests(), [B]);
  t.false(old.isClosed);
  open();
  t.is((await running).modelVersion, nameOfDigest(A));
  while (!old.isClosed) await sleep(1);
  await t.throwsAsync(client.infer({ modelName: nameOfDigest(A), inputs: [input] }, LIMITS), { message: /no model/ });
});

test('a dropped model still answers under its digest for a while, and is taken back without loading it again', async (t) => {
  const { specialist, client, loaded } = await start(t, 600_000);
  const input = imageTensor(new Uint8Array(48));
  await specialist.serveModels([{ name: 'm', digest: A }]);
  await specialist.serveModels([{ name: 'm', digest: B }]);
  t.is((await client.infer({ modelName: nameOfDigest(A), inputs: [input] }, LIMITS)).modelVersion, nameOfDigest(A));
  t.deepEqual(specialist.modelDigests(), [B]);
  await specialist.serveModels([
    { name: 'm', digest: A },
    { name: 'n', digest: A },
  ]);
  t.is(loaded.get(A)?.length, 1);
  t.is((await client.infer({ modelName: 'n', inputs: [input] }, LIMITS)).modelVersion, nameOfDigest(A));
});

test('a set that cannot be loaded changes nothing', async (t) => {
  const { specialist, client, loaded } = await start(t);
  await specialist.serveModels([{ name: 'm', digest: A }]);
  const missing = specialist.serveModels([
    { name: 'm', digest: B },
    { name: 'n', digest: sha256('missing') },
  ]);
  await t.throwsAsync(missing, { message: /there is no object/ });
  const twice = specialist.serveModels([
    { name: 'm', digest: A },
    { name: 'm', digest: B },
  ]);
  await t.throwsAsync(twice, { message: /given to two models/ });
  t.true(loaded.get(B)?.every((predictor) => predictor.isClosed));
  t.deepEqual(specialist.modelDigests(), [A]);
  const response = await client.infer({ modelName: 'm', inputs: [imageTensor(new Uint8Array(48))] }, LIMITS);
  t.is(response.modelVersion, nameOfDigest(A));
});
