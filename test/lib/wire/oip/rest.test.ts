import { gzipSync } from 'node:zlib';
import test from 'ava';
import { sleep } from '../../../../lib/base/clock.ts';
import { serveRest } from '../../../../lib/wire/oip/rest-front.ts';
import { testLogger } from '../../../helpers/logger.ts';
import { EchoBackend } from '../../../helpers/oip-echo.ts';

interface Answer {
  readonly status: number;
  readonly json: Record<string, unknown>;
  readonly body: Buffer;
  readonly headers: Headers;
}

async function start(t: import('ava').ExecutionContext) {
  const backend = new EchoBackend();
  const server = await serveRest(backend, { host: '127.0.0.1', port: 0, logger: testLogger() });
  t.teardown(() => server.stop(1_000));
  const base = `http://127.0.0.1:${server.port}`;
  const send = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const payload = body === undefined || body instanceof Uint8Array ? body : JSON.stringify(body);
    const init = { method, headers, ...(payload === undefined ? {} : { body: payload as string }) };
    const response = await fetch(`${base}${path}`, init);
    const bytes = Buffer.from(await response.arrayBuffer());
    const headerLength = Number(response.headers.get('inference-header-content-length') ?? bytes.length);
    const json = bytes.length === 0 ? {} : JSON.parse(bytes.subarray(0, headerLength).toString());
    const answer: Answer = {
      status: response.status,
      json,
      body: bytes.subarray(headerLength),
      headers: response.headers,
    };
    return answer;
  };
  const infer = (body: unknown, headers?: Record<string, string>) =>
    send('POST', '/v2/models/echo/infer', body, headers);
  return { backend, server, base, send, infer };
}

const FLOATS = { name: 'x', datatype: 'FP32', shape: [2, 2], data: [1, 2, 3, 4.5] };

test('health, metadata and readiness', async (t) => {
  const { backend, send } = await start(t);
  t.deepEqual((await send('GET', '/v2/health/live')).json, { live: true });
  t.deepEqual((await send('GET', '/v2/health/ready')).json, { ready: true });
  const { name, extensions } = (await send('GET', '/v2')).json;
  t.deepEqual([name, extensions], ['echo', ['binary_tensor_data']]);
  const tensor = { name: 'x', datatype: 'FP32', shape: [-1, 2] };
  const metadata = { name: 'echo', versions: ['1'], platform: 'echo', inputs: [tensor], outputs: [tensor] };
  for (const path of ['/v2/models/echo', '/v2/models/echo/versions/1', '/v2/models/echo/']) {
    t.deepEqual((await send('GET', path)).json, metadata, path);
  }
  t.deepEqual((await send('GET', '/v2/models/echo/ready')).json, { name: 'echo', ready: true });
  t.is((await send('GET', '/v2/models/echo/versions/2/ready')).status, 503);
  backend.isReady = false;
  t.is((await send('GET', '/v2/health/ready')).status, 503);
});

test('JSON in, flat or nested, and JSON out', async (t) => {
  const { infer } = await start(t);
  const flat = await infer({ id: '7', inputs: [FLOATS] });
  t.is(flat.status, 200);
  t.deepEqual(flat.json, {
    model_name: 'echo',
    model_version: '1',
    id: '7',
    parameters: { text: 'a', flag: true, real: 1, whole: 7 },
    outputs: [{ name: 'x', datatype: 'FP32', shape: [2, 2], data: [1, 2, 3, 4.5] }],
  });
  const nested = {
    ...FLOATS,
    data: [
      [1, 2],
      [3, 4.5],
    ],
  };
  t.deepEqual((await infer({ inputs: [nested] })).json.outputs, flat.json.outputs);
  const inputs = [
    { name: 'b', datatype: 'BYTES', shape: [2], data: ['Vogel', ''] },
    { name: 'o', datatype: 'BOOL', shape: [2], data: [true, 0] },
    { name: 'i', datatype: 'INT64', shape: [1], data: [-3] },
    { name: 'e', datatype: 'FP64', shape: [0], data: [] },
  ];
  const answer = await infer({ inputs, outputs: [{ name: 'i' }, { name: 'b' }, { name: 'o' }, { name: 'e' }] });
  t.deepEqual(
    (answer.json.outputs as { name: string; data: unknown }[]).map(({ name, data }) => [name, data]),
    [
      ['i', [-3]],
      ['b', ['Vogel', '']],
      ['o', [true, false]],
      ['e', []],
    ],
  );
  t.false('id' in answer.json);
});

test('images in JSON are base64 when the tensor says so', async (t) => {
  const { infer } = await start(t);
  const tensor = { name: 'x', datatype: 'BYTES', shape: [1], parameters: { content_type: 'base64' } };
  const answer = await infer({
    parameters: { binary_data_output: true },
    inputs: [{ ...tensor, data: [Buffer.from([0xff, 0xd8]).toString('base64')] }],
  });
  t.deepEqual([...answer.body], [2, 0, 0, 0, 0xff, 0xd8]);
  t.regex(String((await infer({ inputs: [{ ...tensor, data: ['%'] }] })).json.error), /no base64/);
});

function binaryBody(json: unknown, ...raws: Uint8Array[]): { body: Buffer; headers: Record<string, string> } {
  const head = Buffer.from(JSON.stringify(json));
  const headers = { 'inference-header-content-length': String(head.length) };
  return { body: Buffer.concat([head, ...raws]), headers };
}

const BINARY = { name: 'x', datatype: 'FP32', shape: [2], parameters: { binary_data_size: 8 } };
const RAW = new Uint8Array(Float32Array.of(1.5, -2).buffer);

test('the binary extension, mixed with JSON, both ways', async (t) => {
  const { infer, backend } = await start(t);
  const other = { name: 'y', datatype: 'UINT8', shape: [2], data: [1, 2] };
  const outputs = [{ name: 'x', parameters: { binary_data: true } }, { name: 'y' }];
  const { body, headers } = binaryBody({ inputs: [other, BINARY], outputs }, RAW);
  const answer = await infer(body, headers);
  t.is(answer.status, 200);
  t.deepEqual(new Uint8Array(answer.body), RAW);
  t.deepEqual(answer.json.outputs, [
    { name: 'x', datatype: 'FP32', shape: [2], parameters: { binary_data_size: 8 } },
    { name: 'y', datatype: 'UINT8', shape: [2], data: [1, 2] },
  ]);
  const all = binaryBody({ parameters: { binary_data_output: true }, inputs: [BINARY] }, RAW);
  t.deepEqual(new Uint8Array((await infer(all.body, all.headers)).body), RAW);
  t.deepEqual(backend.last?.parameters, {}, 'how the answer is written is not the model’s business');
  const compressed = await infer(gzipSync(all.body), { ...all.headers, 'content-encoding': 'gzip' });
  t.deepEqual(new Uint8Array(compressed.body), RAW);
});

test('bodies that do not add up are refused with 400 and a reason', async (t) => {
  const { infer } = await start(t);
  const cases: [unknown, Record<string, string>, RegExp][] = [
    [Buffer.from('{'), {}, /no JSON/],
    [Buffer.from([0xff]), {}, /no JSON/],
    [undefined, {}, /no JSON/],
    [{}, {}, /inputs: /],
    [{ inputs: [{ ...FLOATS, shape: '2' }] }, {}, /inputs\[0\]\.shape: /],
    [{ inputs: [{ ...FLOATS, data: undefined }] }, {}, /tensor "x" has no data/],
    [{ inputs: [{ ...FLOATS, data: [1, 2, 3] }] }, {}, /has 3 elements, expected 4/],
    [{ inputs: [{ ...FLOATS, data: [[1, 2, 3], [4]] }] }, {}, /list of 3 where dimension 1 .* expects 2/],
    [{ inputs: [{ ...FLOATS, data: [1, 2, 3, 'four'] }] }, {}, /element 3 = "four", which is no FP32/],
    [{ inputs: [{ ...FLOATS, shape: [2, -2] }] }, {}, /shape \[2,-2\]/],
    [{ inputs: [{ ...FLOATS, shape: [2, 2.5] }] }, {}, /shape \[2,2.5\]/],
    [{ inputs: [{ ...FLOATS, datatype: 'FLOAT' }] }, {}, /datatype "FLOAT"/],
    [{ inputs: [FLOATS, FLOATS] }, {}, /input "x" is given twice/],
    [{ inputs: [FLOATS], outputs: [{ name: 'z' }] }, {}, /no output "z"/],
    [{ inputs: [FLOATS], outputs: [{ name: 'x' }, { name: 'x' }] }, {}, /output "x" is given twice/],
    [{ inputs: [FLOATS], parameters: { timeout: 'soon' } }, {}, /timeout is soon/],
    [binaryBody({ inputs: [BINARY] }, RAW).body, {}, /no JSON.*Inference-Header-Content-Length/],
    [binaryBody({ inputs: [BINARY] }, RAW).body, { 'inference-header-content-length': '100000' }, /is "100000"/],
    [binaryBody({ inputs: [BINARY] }, RAW).body, { 'inference-header-content-length': '-1' }, /is "-1"/],
    [Buffer.from('junk'), { 'content-encoding': 'gzip' }, /no valid gzip/],
  ];
  for (const [body, headers, reason] of cases) {
    const answer = await infer(body, headers);
    t.is(answer.status, 400, String(reason));
    t.regex(String(answer.json.error), reason);
  }
  const sizes: [object, Uint8Array, RegExp][] = [
    [BINARY, RAW.subarray(0, 7), /binary_data_size 8, but 7 bytes are left/],
    [BINARY, Buffer.concat([RAW, RAW]), /8 bytes after the JSON belong to no tensor/],
    [{ ...BINARY, parameters: { binary_data_size: 4 } }, RAW.subarray(0, 4), /has 4 bytes, expected 8/],
    [{ ...BINARY, parameters: { binary_data_size: '8' } }, RAW, /binary_data_size "8"/],
    [{ ...BINARY, data: [1, 2] }, RAW, /both data and binary_data_size/],
  ];
  for (const [input, raw, reason] of sizes) {
    const { body, headers } = binaryBody({ inputs: [input] }, raw);
    t.regex(String((await infer(body, headers)).json.error), reason);
  }
});

test('every error is JSON: unknown models and paths, wrong methods, too large bodies, what JSON cannot hold', async (t) => {
  const { send, infer } = await start(t);
  const check = async (answer: Promise<Answer>, status: number, reason: RegExp) => {
    const { status: actual, json } = await answer;
    t.is(actual, status);
    t.regex(String(json.error), reason);
  };
  await check(send('POST', '/v2/models/other/infer', { inputs: [FLOATS] }), 404, /no model "other"/);
  await check(send('GET', '/v2/models/other'), 404, /no model "other"/);
  await check(send('GET', '/v3'), 404, /no such path: GET \/v3/);
  await check(send('GET', '/v2/models/echo/infer'), 405, /use POST/);
  await check(send('POST', '/v2/health/live', {}), 405, /use GET/);
  await check(infer(Buffer.alloc(64 * 1024 * 1024 + 1)), 413, /too large/);
  await check(infer(Buffer.from('x'), { 'content-encoding': 'br' }), 501, /"br" is not supported/);
  const { body, headers } = binaryBody({ inputs: [BINARY] }, new Uint8Array(Float32Array.of(Number.NaN, 1).buffer));
  await check(infer(body, headers), 400, /element 0 = NaN, which JSON cannot hold/);
});

test('the request’s own timeout ends it with 504', async (t) => {
  const { backend, infer } = await start(t);
  const { promise, resolve } = gate();
  backend.hold = promise;
  const answer = await infer({ inputs: [FLOATS], parameters: { timeout: 20_000 } });
  t.is(answer.status, 504);
  t.regex(String(answer.json.error), /timeout of 20 ms/);
  t.true(backend.signal?.aborted);
  resolve();
});

test('a caller that goes away aborts the request', async (t) => {
  const { backend, base } = await start(t);
  const { promise, resolve } = gate();
  backend.hold = promise;
  const leaving = new AbortController();
  const body = JSON.stringify({ inputs: [FLOATS] });
  const request = fetch(`${base}/v2/models/echo/infer`, { method: 'POST', body, signal: leaving.signal });
  while (backend.signal === undefined) await sleep(1);
  t.false(backend.signal.aborted);
  leaving.abort();
  await t.throwsAsync(request, { any: true });
  while (!backend.signal.aborted) await sleep(1);
  resolve();
  t.pass();
});

test('stopping lets a running request end; a port in use is one clear error', async (t) => {
  const { backend, infer, server } = await start(t);
  const { promise, resolve } = gate();
  backend.hold = promise;
  const running = infer({ inputs: [FLOATS] });
  while (backend.signal === undefined) await sleep(1);
  const taken = serveRest(backend, { host: '127.0.0.1', port: server.port, logger: testLogger() });
  await t.throwsAsync(taken, { message: `port ${server.port} on 127.0.0.1 is in use` });
  const stopped = server.stop(5_000);
  resolve();
  t.is((await running).status, 200);
  await stopped;
  await t.throwsAsync(infer({ inputs: [FLOATS] }));
});

function gate(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((open) => {
    resolve = open;
  });
  return { promise, resolve };
}
