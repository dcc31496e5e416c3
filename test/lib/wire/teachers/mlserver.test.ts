import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { scaleImages } from '../../../../lib/data/scale-images.ts';
import { Compute } from '../../../../lib/distill/compute.ts';
import { configureEngine } from '../../../../lib/engine/environment.ts';
import { openGiven, teacherPlace } from '../../../helpers/given-teacher.ts';
import { type Mlserver, startMlserver } from '../../../helpers/mlserver.ts';
import { randomImages, relativeError } from '../../../helpers/random-model.ts';

const SEED = 20_261_121;
const IMAGE = { height: 32, width: 32, channels: 3 };
const COUNT = 5;
const images = randomImages(IMAGE, COUNT, SEED);
/** As the model takes them: 8x8 pixels, 0..1, one row of numbers each. */
const small = scaleImages(images, IMAGE, { height: 8, width: 8, channels: 3 });
const features = Array.from({ length: COUNT }, (_, row) =>
  Array.from(small.subarray(row * 192, (row + 1) * 192), (value) => value / 255),
);

configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
const compute = new Compute();
let server: Mlserver | undefined;
let folder = '';

test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stillhouse-mlserver-'));
  server = await startMlserver(folder, features);
});

test.after.always(async () => {
  await server?.kill();
  await compute.close();
  await rm(folder, { recursive: true, force: true });
});

const INPUT = 'input: {size: 8}, output: {kind: probabilities}';

function logOf(probabilities: readonly (readonly number[])[]): number[] {
  return probabilities.flat().map(Math.log);
}

test.serial(`a scikit-learn model on MLServer teaches by gRPC and by REST (seed ${SEED})`, async (t) => {
  if (server === undefined) return void t.pass('without MLServer, which could not be had');
  const place = await teacherPlace(t, compute);
  for (const url of [server.grpc, server.http]) {
    const from = `{type: endpoint, url: "${url}", model: pixels, ${INPUT}}`;
    const teacher = await openGiven(t, place, from, { batchSizes: [4] });
    const logits = await teacher.predict(images.slice(), COUNT);
    t.true(relativeError(logits, logOf(server.expected.v1)) < 1e-4, url);
    const again = await openGiven(t, place, from, { modelDigest: teacher.digest });
    t.true(relativeError(await again.predict(images.slice(), COUNT), logits) < 1e-4, url);
  }
});

test.serial('what the server or the model does not have is refused, with what there is', async (t) => {
  if (server === undefined) return void t.pass('without MLServer, which could not be had');
  const place = await teacherPlace(t, compute);
  for (const url of [server.grpc, server.http]) {
    const from = (rest: string) => `{type: endpoint, url: "${url}", ${rest}}`;
    await t.throwsAsync(openGiven(t, place, from(`model: none, ${INPUT}`)), {
      code: 'INVALID_ARGUMENT',
      message: /teachers\[0\]\.from\.model: .* has no model none/,
    });
    await t.throwsAsync(openGiven(t, place, from('model: pixels, input: {name: image, size: 8}')), {
      code: 'INVALID_ARGUMENT',
      message: /from\.input\.name: the model has no input "image"/,
    });
    await t.throwsAsync(openGiven(t, place, from('model: pixels')), {
      code: 'INVALID_ARGUMENT',
      message: /from\.input\.size: the model's input predict is \[any, 192\]/,
    });
  }
});

test.serial(
  'another version of the model is told apart, also by who opens it later; a server that is gone is waited for',
  async (t) => {
    if (server === undefined) return void t.pass('without MLServer, which could not be had');
    const place = await teacherPlace(t, compute);
    const from = (url: string, rest = '') =>
      `{type: endpoint, url: "${url}", model: pixels, timeoutMs: 4000, ${rest}${INPUT}}`;
    const teachers = [await openGiven(t, place, from(server.grpc)), await openGiven(t, place, from(server.http))];
    await server.serve('v2');
    for (const [index, teacher] of teachers.entries()) {
      const url = [server.grpc, server.http][index] as string;
      const change = {
        code: 'FAILED_PRECONDITION',
        message: /version change: .* answers as version "v2" of pixels, .* v1/,
      };
      await t.throwsAsync(teacher.predict(images.slice(), COUNT), change);
      await t.throwsAsync(openGiven(t, place, from(url), { modelDigest: teacher.digest }), {
        code: 'FAILED_PRECONDITION',
        message: /version change of teacher big/,
      });
      const other = await openGiven(t, place, from(url));
      t.true(relativeError(await other.predict(images.slice(), COUNT), logOf(server.expected.v2)) < 1e-4);
      await t.throwsAsync(openGiven(t, place, from(url, 'version: v1, ')), {
        code: 'INVALID_ARGUMENT',
        message: /has no model pixels/,
      });
      teachers[index] = other;
    }
    await server.kill();
    for (const teacher of teachers) {
      await t.throwsAsync(teacher.predict(images.slice(), COUNT), {
        code: 'UNAVAILABLE',
        message: /cannot be reached/,
      });
    }
  },
);
