import test, { type ExecutionContext } from 'ava';
import { StillhouseError } from '../../../../lib/base/errors.ts';
import { Compute } from '../../../../lib/distill/compute.ts';
import { configureEngine } from '../../../../lib/engine/environment.ts';
import { RpcServer } from '../../../../lib/wire/grpc.ts';
import { checkNetworks } from '../../../../lib/wire/job-networks.ts';
import { IMAGE_SIZE, serveFirstValues } from '../../../helpers/first-values.ts';
import { jobOf, openGiven, teacherPlace } from '../../../helpers/given-teacher.ts';
import { testLogger } from '../../../helpers/logger.ts';

configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
const compute = new Compute();
test.after.always(() => compute.close());

async function serve(t: ExecutionContext) {
  const { backend, server } = await serveFirstValues(t);
  const place = await teacherPlace(t, compute);
  const open = (scheme: 'grpc' | 'http', rest = '', timeoutMs = 30_000) => {
    const port = scheme === 'grpc' ? server.port : server.httpPort;
    const input = 'input: {name: image, type: uint8, scale: "0..255"}';
    const from = `{type: endpoint, url: "${scheme}://127.0.0.1:${port}", model: first, timeoutMs: ${timeoutMs}, ${input}${rest}}`;
    return openGiven(t, place, from, { batchSizes: [2] });
  };
  return { backend, server, place, open };
}

/** Values that tell where they came from. */
function images(count: number): Float32Array {
  return Float32Array.from({ length: count * IMAGE_SIZE }, (_, at) => (at * 7) % 256);
}

const firstOf = (count: number) =>
  Float32Array.from({ length: count * 4 }, (_, at) => ((Math.floor(at / 4) * IMAGE_SIZE + (at % 4)) * 7) % 256);

for (const scheme of ['grpc', 'http'] as const) {
  test(`bytes go to the server in batches of the fixed size, filled up, by ${scheme}`, async (t) => {
    const { backend, open } = await serve(t);
    const teacher = await open(scheme);
    t.deepEqual(await teacher.predict(images(5), 5), firstOf(5));
    t.deepEqual(backend.last?.inputs[0]?.shape, [2, 32, 32, 3]);
    t.is(backend.last?.inputs[0]?.datatype, 'UINT8');
    // The last image of five stands alone in its batch: the other row is nothing.
    const sent = backend.last?.inputs[0]?.values as Uint8Array | undefined;
    t.true(sent?.subarray(IMAGE_SIZE).every((value) => value === 0));
  });

  test(`a server that is away for a moment is asked again by ${scheme}, and must be the same`, async (t) => {
    const { backend, open } = await serve(t);
    const teacher = await open(scheme);
    backend.failures.push(new StillhouseError('UNAVAILABLE', 'restarting'));
    t.deepEqual(await teacher.predict(images(1), 1), firstOf(1));
    backend.failures.push(new StillhouseError('UNAVAILABLE', 'restarting'));
    backend.version = '2';
    await t.throwsAsync(teacher.predict(images(1), 1), { code: 'FAILED_PRECONDITION', message: /version change/ });
    backend.version = '1';
    backend.failures.push(new StillhouseError('NOT_FOUND', 'there is no model "first"'));
    await t.throwsAsync(teacher.predict(images(1), 1), {
      code: 'FAILED_PRECONDITION',
      message: /refuses images for model first, which it took before: .*there is no model/,
    });
  });

  test(`an answer of another shape or without numbers is named by ${scheme}`, async (t) => {
    const { backend, open } = await serve(t);
    const teacher = await open(scheme);
    backend.divisor = 0;
    await t.throwsAsync(teacher.predict(images(1).fill(1), 1), {
      code: 'DATA_LOSS',
      message: /teacher big answers Infinity for row 0, class ash/,
    });
    backend.classes = 3;
    const shape = {
      code: 'DATA_LOSS',
      message: /answers 2 images with an output of shape \[2, 3\], expected \[2, 4\]/,
    };
    await t.throwsAsync(teacher.predict(images(1), 1), shape);
    await t.throwsAsync(open(scheme), shape);
    await t.throwsAsync(open(scheme, ', output: {name: label}'), {
      code: 'INVALID_ARGUMENT',
      message: /from\.output\.name: the model has no output "label"/,
    });
  });
}

test('an answer that is late is asked for once more, and no oftener', async (t) => {
  const { backend, open } = await serve(t);
  const teachers = [await open('grpc', '', 1_500), await open('http', '', 1_500)];
  backend.delaysMs.push(2_500, 2_500);
  const late = teachers.map((teacher) => teacher.predict(images(1), 1));
  for (const answer of late) t.deepEqual(await answer, firstOf(1));
  backend.delaysMs.push(2_500, 2_500, 2_500, 2_500);
  const answers = teachers.map((teacher) => teacher.predict(images(1), 1));
  for (const answer of answers) await t.throwsAsync(answer, { code: 'UNAVAILABLE' });
  t.deepEqual(backend.delaysMs, []);
});

test('a server that has too much to do is asked again, a batch that it finds too large is not', async (t) => {
  const { backend, open } = await serve(t);
  const teacher = await open('grpc');
  backend.failures.push(new StillhouseError('RESOURCE_EXHAUSTED', 'busy'), new StillhouseError('ABORTED', 'busy'));
  t.deepEqual(await teacher.predict(images(1), 1), firstOf(1));
  backend.failures.push(
    new StillhouseError('RESOURCE_EXHAUSTED', 'SERVER: Received message larger than max (6144 vs. 4096)'),
  );
  await t.throwsAsync(teacher.predict(images(1), 1), { code: 'FAILED_PRECONDITION', message: /larger than max/ });
});

for (const scheme of ['grpc', 'http'] as const) {
  test(`batches that no message holds are split by ${scheme}, always in the same way`, async (t) => {
    const { backend, server, place } = await serve(t);
    const port = scheme === 'grpc' ? server.port : server.httpPort;
    backend.side = 1024;
    const from = (rest: string) =>
      `{type: endpoint, url: "${scheme}://127.0.0.1:${port}", model: first, input: {name: image, size: 1024, ${rest}}}`;
    const teacher = await openGiven(t, place, from("type: uint8, scale: '0..255'"), { batchSizes: [4, 64] });
    const rows = scheme === 'grpc' ? 10 : 21;
    for (const count of [5, 1]) {
      t.is((await teacher.predict(images(count), count)).length, count * 4);
      t.deepEqual(backend.last?.inputs[0]?.shape, [count === 1 ? 4 : rows, 1024, 1024, 3]);
    }
    await t.throwsAsync(openGiven(t, place, from("batch: 64, type: uint8, scale: '0..255'")), {
      code: 'INVALID_ARGUMENT',
      message: /from\.input\.batch: 64 images of \d+ bytes each do not fit/,
    });
  });
}

test('a server that reads numbers only one by one gets them so', async (t) => {
  const sent: number[] = [];
  const server = new RpcServer(testLogger(), { reflection: false });
  const tensor = { name: 'x', datatype: 'FP32', shape: [-1, 32, 32, 3] };
  server.add('Inference', {
    ServerLive: () => ({ live: true }),
    ServerReady: () => ({ ready: true }),
    ModelReady: () => ({ ready: true }),
    ServerMetadata: () => ({ name: 'old', version: '0', extensions: [] }),
    ModelMetadata: ({ name }) => ({
      name,
      inputs: [tensor],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 4] }],
    }),
    ModelInfer: ({ inputs, rawInputContents }) => {
      const values = inputs[0]?.contents?.fp32Contents ?? [];
      sent.push(rawInputContents.length);
      if (values.length === 0) throw new StillhouseError('INVALID_ARGUMENT', 'x has no contents');
      const contents = { fp64Contents: values.slice(0, 4) };
      return { outputs: [{ name: 'y', datatype: 'FP64', shape: [1, 4], contents }] };
    },
  });
  const port = await server.listen('127.0.0.1', 0);
  t.teardown(() => server.stop(0));
  const place = await teacherPlace(t, compute);
  const from = `{type: endpoint, url: "grpc://127.0.0.1:${port}", model: old, input: {scale: '0..255'}}`;
  const teacher = await openGiven(t, place, from);
  t.deepEqual(await teacher.predict(images(1), 1), firstOf(1));
  t.deepEqual(sent, [1, 0, 0]);
});

test('nobody at the address: the teacher cannot be opened, and its error says where', async (t) => {
  const { server, open } = await serve(t);
  const address = new RegExp(`127\\.0\\.0\\.1:(${server.port}|${server.httpPort}) cannot be reached`);
  await server.stop(0);
  const attempts = (['grpc', 'http'] as const).map((scheme) => open(scheme, '', 4_000));
  for (const attempt of attempts) await t.throwsAsync(attempt, { code: 'UNAVAILABLE', message: address });
});

test('an address that is none is refused with the job, before anybody is asked', async (t) => {
  const { dataset } = await teacherPlace(t, compute);
  const check = (rest: string) => checkNetworks(jobOf(`{type: endpoint, model: first, ${rest}}`), dataset);
  for (const [url, message] of [
    ['grpc://somewhere', /^teachers\[0\]\.from\.url: grpc:\/\/somewhere: has no port/],
    ['grpc://somewhere:1/path', /has a path, which gRPC has not/],
    ['https://user:secret@somewhere', /holds more than a server and its path/],
    ['http://:secret@somewhere', /holds more than a server and its path/],
    ['grpc://somewhere:1?key=secret', /holds more than a server and its path/],
    ['http://somewhere/#secret', /holds more than a server and its path/],
    ['http://user:secret@some:where', /is no address/],
    ['http://:80', /is no address/],
  ] as const) {
    const error = t.throws(() => check(`url: "${url}"`), { code: 'INVALID_ARGUMENT', message });
    t.is((error as StillhouseError).field, 'teachers[0].from.url');
    t.notRegex(error?.message ?? '', /secret/);
  }
  t.throws(() => jobOf('{type: endpoint, model: first, url: "ftp://somewhere"}'), { message: /grpc:\/\/host:port/ });
  for (const url of ['grpcs://somewhere:443', 'https://somewhere/behind/a/path', 'grpc://[::1]:8001']) {
    t.notThrows(() => check(`url: "${url}"`));
  }
  t.throws(() => check('url: "grpc://a:1", classNames: [x, y, x]'), { message: /classNames: x is named twice/ });
});

test('rows of which only the largest logits are stored must have the data set’s classes', async (t) => {
  const { dataset } = await teacherPlace(t, compute);
  const check = (classNames: string, encoding: string) => {
    const job = jobOf(`{type: endpoint, model: first, url: "grpc://a:1", classNames: [${classNames}]}`);
    const distill = { ...job.distill, logits: { topK: 2 }, cache: { ...job.distill.cache, encoding: { topK: 2 } } };
    checkNetworks(encoding === 'topK' ? { ...job, distill } : job, dataset);
  };
  const error = t.throws(() => check('cedar, ash, beech, elm', 'topK'), { code: 'INVALID_ARGUMENT' });
  t.is((error as StillhouseError).field, 'distill.cache.encoding');
  t.notThrows(() => check('cedar, ash, beech, elm', 'auto'));
  t.notThrows(() => check('ash, beech, cedar, elm', 'topK'));
});
