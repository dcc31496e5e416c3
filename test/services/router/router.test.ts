import test from 'ava';
import { sleep } from '../../../lib/base/clock.ts';
import type { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { OipClient, outputOf } from '../../../lib/wire/oip/client.ts';
import { textValues } from '../../../lib/wire/oip/raw-tensor.ts';
import { serveInference } from '../../../lib/wire/oip/server.ts';
import type { OipTensor, Parameters } from '../../../lib/wire/oip/types.ts';
import type { RouteRecord } from '../../../lib/wire/records.ts';
import { combine } from '../../../services/router/combine.ts';
import { Legs } from '../../../services/router/legs.ts';
import type { Specialist } from '../../../services/router/route-table.ts';
import { Router } from '../../../services/router/router.ts';
import { type LinearPredictor, logitsOfColours, randomImages, SIZE } from '../../helpers/linear-model.ts';
import { testLogger } from '../../helpers/logger.ts';
import { type SmallModel, smallModel, startSpecialist } from '../../helpers/specialists.ts';

const LIMITS = { timeoutMs: 10_000 };
const WARM = smallModel('warm', { red: [9, 0, 0], orange: [6, 4, 0], brown: [3, 2, 1] });
const COLD = smallModel('cold', { blue: [0, 0, 9], green: [0, 9, 0] });
const CLASSES = [...WARM.classNames, ...COLD.classNames];
const ROUTE: RouteRecord = {
  name: 'colours',
  rule: 'max-softmax',
  classNames: CLASSES,
  legs: [
    { specialist: 'warm', modelDigest: WARM.digest, classIds: [0, 1, 2], dustbin: false },
    { specialist: 'cold', modelDigest: COLD.digest, classIds: [3, 4], dustbin: false },
  ],
};

interface InferParts {
  readonly modelName?: string;
  readonly outputs?: string[];
  readonly parameters?: Parameters;
  readonly signal?: AbortSignal;
}

async function startRouter(
  t: import('ava').ExecutionContext,
  specialists: readonly Specialist[],
  legTimeoutMs = 10_000,
  record = ROUTE,
) {
  const legs = new Legs();
  const router = new Router({ legs, legTimeoutMs });
  router.apply({ kind: 'route-put', record, revision: 4 });
  router.apply({ kind: 'specialists', specialists });
  const ports = { host: '127.0.0.1', port: 0, httpPort: 0, healthPort: 0 };
  const server = await serveInference(router, ports, testLogger());
  const client = new OipClient(`127.0.0.1:${server.port}`);
  t.teardown(async () => {
    client.close();
    await server.stop(1_000);
    legs.close();
  });
  const infer = (input: OipTensor, parts: InferParts = {}) => {
    const { signal, modelName = 'colours', outputs = [], parameters = {} } = parts;
    const call = { modelName, parameters, inputs: [input], outputs };
    return client.infer(call, { ...LIMITS, ...(signal && { signal }) });
  };
  return { router, client, infer, base: `http://127.0.0.1:${server.httpPort}` };
}

function image(pixels: Uint8Array): OipTensor {
  const shape = [pixels.length / 48, SIZE.height, SIZE.width, 3];
  return { name: 'image', datatype: 'UINT8', shape, values: pixels };
}

function plain(red: number, green: number, blue: number): Uint8Array {
  return Uint8Array.from({ length: 48 }, (_, index) => [red, green, blue][index % 3] as number);
}

async function failure(promise: Promise<unknown>): Promise<StillhouseError> {
  try {
    await promise;
  } catch (error) {
    return error as StillhouseError;
  }
  throw new Error('it did not fail');
}

function predictorOf(
  specialist: { predictors: ReadonlyMap<string, LinearPredictor> },
  model: SmallModel,
): LinearPredictor {
  return specialist.predictors.get(model.digest) as LinearPredictor;
}

test('each row is answered by the most certain specialist, over gRPC', async (t) => {
  const warm = await startSpecialist(t, 'a', [WARM]);
  const cold = await startSpecialist(t, 'b', [COLD]);
  const { infer } = await startRouter(t, [warm, cold]);
  const random = createRandom(5);
  const fixed = [plain(255, 0, 0), plain(0, 255, 0), plain(0, 0, 255), plain(0, 0, 0)];
  const pixels = Uint8Array.from([
    ...fixed.flatMap((one) => [...one]),
    ...randomImages(20, (bound) => random.nextInt(bound)),
  ]);
  const rows = pixels.length / 48;
  const response = await infer(image(pixels));
  const expected = combine(
    'max-softmax',
    [
      { classIds: [0, 1, 2], dustbin: false, logits: logitsOfColours(WARM.weights, pixels, rows) },
      { classIds: [3, 4], dustbin: false, logits: logitsOfColours(COLD.weights, pixels, rows) },
    ],
    rows,
  );
  t.deepEqual(
    textValues(outputOf(response, 'label')),
    Array.from(expected.classes, (id) => CLASSES[id] as string),
  );
  t.deepEqual(outputOf(response, 'class').values, BigInt64Array.from(expected.classes, BigInt));
  t.deepEqual(outputOf(response, 'probability').values, expected.probabilities);
  const names = Array.from(expected.legs, (leg) => ROUTE.legs[leg]?.specialist as string);
  t.deepEqual(textValues(outputOf(response, 'specialist')), names);
  t.deepEqual(textValues(outputOf(response, 'label')).slice(0, 3), ['red', 'green', 'blue']);
  const { rule, partial, warm_ms, cold_ms } = response.parameters;
  t.deepEqual([rule, partial, response.modelVersion], ['max-softmax', false, '4']);
  t.true([warm_ms, cold_ms].every((elapsed) => typeof elapsed === 'number' && elapsed > 0));
});

test('the same over REST, with only the outputs that were asked for', async (t) => {
  const both = await startSpecialist(t, 'a', [WARM, COLD]);
  const { base } = await startRouter(t, [both]);
  const inputs = [{ name: 'image', datatype: 'UINT8', shape: [1, 4, 4, 3], data: [...plain(0, 0, 255)] }];
  const send = async (name: string, body: object) => {
    const response = await fetch(`${base}/v2/models/${name}/infer`, { method: 'POST', body: JSON.stringify(body) });
    return { status: response.status, json: (await response.json()) as Record<string, unknown> };
  };
  const { status, json } = await send('colours', {
    id: 'q',
    inputs,
    outputs: [{ name: 'specialist' }, { name: 'class' }],
  });
  t.is(status, 200);
  t.is(json.id, 'q');
  t.deepEqual(json.outputs, [
    { name: 'specialist', datatype: 'BYTES', shape: [1], data: ['cold'] },
    { name: 'class', datatype: 'INT64', shape: [1], data: [3] },
  ]);
  const unknown = await send('other', { inputs });
  t.deepEqual(unknown, { status: 404, json: { error: 'there is no route "other" here (routes: colours)' } });
  t.is((await send('colours', { inputs, outputs: [{ name: 'logits' }] })).status, 400);
  const metadata = (await (await fetch(`${base}/v2/models/colours`)).json()) as Record<string, unknown>;
  t.deepEqual(metadata.inputs, [
    { name: 'image', datatype: 'FP32', shape: [-1, 4, 4, 3] },
    { name: 'image_bytes', datatype: 'BYTES', shape: [-1] },
  ]);
  t.deepEqual([metadata.versions, metadata.platform], [['4'], 'stillhouse_route']);
});

/** As WARM and COLD, with dustbins that look out for the others' colours. */
const WARM_OR_NOT = smallModel('warm or not', { red: [9, 0, 0], orange: [6, 4, 0], brown: [3, 2, 1] }, [0, 5, 9]);
const COLD_OR_NOT = smallModel('cold or not', { blue: [0, 0, 9], green: [0, 9, 0] }, [9, 4, 0]);
const WITH_DUSTBINS: RouteRecord = {
  ...ROUTE,
  rule: 'dustbin',
  legs: [
    { specialist: 'warm', modelDigest: WARM_OR_NOT.digest, classIds: [0, 1, 2], dustbin: true },
    { specialist: 'cold', modelDigest: COLD_OR_NOT.digest, classIds: [3, 4], dustbin: true },
  ],
};

test('a request may ask for another rule than the route’s, over gRPC and REST, and is told which was used', async (t) => {
  const both = await startSpecialist(t, 'a', [WARM_OR_NOT, COLD_OR_NOT]);
  const { infer, base } = await startRouter(t, [both], 10_000, WITH_DUSTBINS);
  const random = createRandom(7);
  const rows = 30;
  const pixels = randomImages(rows, (bound) => random.nextInt(bound));
  pixels.set([...plain(255, 0, 0), ...plain(0, 140, 70), ...plain(200, 200, 200)]);
  const legs = [
    { classIds: [0, 1, 2], dustbin: true, logits: logitsOfColours(WARM_OR_NOT.weights, pixels, rows) },
    { classIds: [3, 4], dustbin: true, logits: logitsOfColours(COLD_OR_NOT.weights, pixels, rows) },
  ];
  const told = new Set<string>();
  for (const rule of [undefined, 'max-softmax', 'max-logit', 'dustbin'] as const) {
    const parameters: Parameters = rule === undefined ? {} : { rule };
    const response = await infer(image(pixels), { parameters });
    const expected = combine(rule ?? 'dustbin', legs, rows);
    t.is(response.parameters.rule, rule ?? 'dustbin');
    t.deepEqual(outputOf(response, 'class').values, BigInt64Array.from(expected.classes, BigInt), rule);
    t.deepEqual(outputOf(response, 'probability').values, expected.probabilities, rule);
    told.add(expected.probabilities.join());
    const body = JSON.stringify({
      parameters,
      inputs: [{ name: 'image', datatype: 'UINT8', shape: [rows, 4, 4, 3], data: [...pixels] }],
      outputs: [{ name: 'class' }],
    });
    const rest = await fetch(`${base}/v2/models/colours/infer`, { method: 'POST', body });
    const json = (await rest.json()) as { parameters: object; outputs: { data: number[] }[] };
    t.like(json.parameters, { rule: rule ?? 'dustbin' });
    t.deepEqual(json.outputs[0]?.data, [...expected.classes], rule);
  }
  t.is(told.size, 3, 'the rules differ on these images');
});

test('a rule that is none, or that the legs do not allow, is refused before anybody is asked', async (t) => {
  const warm = await startSpecialist(t, 'a', [WARM]);
  const cold = await startSpecialist(t, 'b', [COLD]);
  const { infer, base } = await startRouter(t, [warm, cold]);
  const allowed = /expected one of those that route "colours" allows: max-softmax, max-logit$/;
  for (const rule of ['dustbin', 'most-softmax', '', 3, true]) {
    const error = await failure(infer(image(plain(1, 2, 3)), { parameters: { rule } }));
    t.like(error, { code: 'INVALID_ARGUMENT', field: 'rule' });
    t.regex(error.message, allowed);
    t.true(error.message.includes(`rule is "${rule}"`), error.message);
  }
  const inputs = [{ name: 'image', datatype: 'UINT8', shape: [1, 4, 4, 3], data: [...plain(0, 0, 255)] }];
  const body = JSON.stringify({ inputs, parameters: { rule: 'dustbin' } });
  const rest = await fetch(`${base}/v2/models/colours/infer`, { method: 'POST', body });
  t.is(rest.status, 400);
  t.regex(((await rest.json()) as { error: string }).error, /"dustbin", expected one of .* max-softmax, max-logit/);
  t.is(predictorOf(warm, WARM).calls + predictorOf(cold, COLD).calls, 0);
});

test('a dustbin that is missing, or that the route does not know of, is the specialist’s error', async (t) => {
  const warm = await startSpecialist(t, 'a', [WARM_OR_NOT]);
  const cold = await startSpecialist(t, 'b', [COLD]);
  const [first, second] = WITH_DUSTBINS.legs as [RouteRecord['legs'][number], RouteRecord['legs'][number]];
  const record = { ...WITH_DUSTBINS, legs: [first, { ...second, modelDigest: COLD.digest }] };
  const { router, infer } = await startRouter(t, [warm, cold], 10_000, record);
  const missing = await failure(infer(image(plain(1, 2, 3))));
  t.is(missing.code, 'INTERNAL');
  t.regex(missing.message, /specialist "cold" failed at .*: it answered logits FP32 \[1,2\], expected FP32 \[1,3\]/);
  const unaware: RouteRecord = { ...ROUTE, legs: [{ ...first, dustbin: false }, ROUTE.legs[1] as typeof first] };
  router.apply({ kind: 'route-put', record: unaware, revision: 5 });
  const extra = await failure(infer(image(plain(1, 2, 3))));
  t.regex(extra.message, /specialist "warm" failed at .*: it answered logits FP32 \[1,4\], expected FP32 \[1,3\]/);
});

test('a route without all its specialists is known but not ready', async (t) => {
  const warm = await startSpecialist(t, 'a', [WARM]);
  const cold = await startSpecialist(t, 'b', [COLD]);
  const { router, client, infer, base } = await startRouter(t, [warm]);
  const error = await failure(infer(image(plain(0, 0, 0))));
  t.is(error.code, 'UNAVAILABLE');
  t.regex(error.message, /no specialist alive serves "cold" \(sha256:/);
  t.false(await client.modelReady('colours', '', LIMITS));
  t.false(await client.serverReady(LIMITS));
  t.is((await fetch(`${base}/v2/health/ready`)).status, 503);
  t.is((await fetch(`${base}/v2/models/colours/ready`)).status, 503);
  router.apply({ kind: 'specialists', specialists: [warm, cold] });
  t.true(await client.serverReady(LIMITS));
  t.true(await client.modelReady('colours', '4', LIMITS));
  t.is((await failure(infer(image(plain(0, 0, 0)), { modelName: 'other' }))).code, 'NOT_FOUND');
  router.end();
  t.false(await client.serverReady(LIMITS));
  t.is((await infer(image(plain(0, 0, 0)))).modelVersion, '4', 'requests are answered to the end');
});

test('a failing replica is replaced by another; without one the error names the specialist and the reason', async (t) => {
  const warm = await startSpecialist(t, 'a', [WARM]);
  const dead = await startSpecialist(t, 'b', [COLD]);
  const cold = await startSpecialist(t, 'c', [COLD]);
  await dead.stop();
  const { router, infer } = await startRouter(t, [warm, dead, cold]);
  for (let request = 0; request < 4; request++) await infer(image(plain(0, 0, 255)));
  router.apply({ kind: 'specialists', specialists: [warm, dead] });
  const error = await failure(infer(image(plain(0, 0, 255))));
  t.is(error.code, 'UNAVAILABLE');
  t.regex(error.message, /specialist "cold" failed at 127\.0\.0\.1:\d+: .*cannot be reached/);
  t.is(error.field, 'cold');
});

test('logits that are not finite, or not as many as the route says, are the specialist’s error', async (t) => {
  const broken = { ...COLD, weights: [[Number.NaN, 0, 0], COLD.weights[1]] } as SmallModel;
  const warm = await startSpecialist(t, 'a', [WARM]);
  const cold = await startSpecialist(t, 'b', [broken]);
  const { router, infer } = await startRouter(t, [warm, cold]);
  const error = await failure(infer(image(plain(1, 2, 3))));
  t.is(error.code, 'INTERNAL');
  t.regex(error.message, /specialist "cold" failed at .*: it answered the logit NaN for row 0/);
  const [first, second] = ROUTE.legs as [RouteRecord['legs'][number], RouteRecord['legs'][number]];
  const record = { ...ROUTE, legs: [{ ...first, classIds: [0, 1] }, second] };
  router.apply({ kind: 'route-put', record, revision: 5 });
  const shape = await failure(infer(image(plain(1, 2, 3))));
  t.regex(shape.message, /specialist "warm" failed at .*: it answered logits FP32 \[1,3\], expected FP32 \[1,2\]/);
});

test('what the caller did wrong stays the caller’s fault, and is not tried twice', async (t) => {
  const warm = await startSpecialist(t, 'a', [WARM]);
  const cold = await startSpecialist(t, 'b', [COLD]);
  const { infer } = await startRouter(t, [warm, cold]);
  const wrongSize: OipTensor = { name: 'image', datatype: 'UINT8', shape: [1, 2, 2, 3], values: new Uint8Array(12) };
  const error = await failure(infer(wrongSize));
  t.is(error.code, 'INVALID_ARGUMENT');
  t.regex(error.message, /shape \[1,2,2,3\], expected \[-1,4,4,3\]/);
  t.is((await failure(infer({ ...wrongSize, name: 'x' }))).code, 'INVALID_ARGUMENT');
  t.is(predictorOf(warm, WARM).calls + predictorOf(cold, COLD).calls, 0);
});

function hold(predictor: LinearPredictor): () => void {
  let open = () => {};
  predictor.hold = new Promise<void>((resolve) => {
    open = resolve;
  });
  return open;
}

test('a leg that is too slow ends the request with its name; a caller that leaves ends it at once', async (t) => {
  const warm = await startSpecialist(t, 'a', [WARM]);
  const cold = await startSpecialist(t, 'b', [COLD]);
  const { infer } = await startRouter(t, [warm, cold], 300);
  const open = hold(predictorOf(cold, COLD));
  const error = await failure(infer(image(plain(1, 2, 3))));
  t.is(error.code, 'DEADLINE_EXCEEDED');
  t.regex(error.message, /specialist "cold" failed at/);
  const leaving = new AbortController();
  const left = failure(infer(image(plain(1, 2, 3)), { signal: leaving.signal }));
  while (predictorOf(cold, COLD).calls < 2) await sleep(1);
  leaving.abort();
  t.is((await left).code, 'CANCELLED');
  open();
});

test('an expired request is abandoned on all legs', async (t) => {
  const warm = await startSpecialist(t, 'a', [WARM]);
  const legs = new Legs();
  t.teardown(() => legs.close());
  const reachable = ROUTE.legs.map((leg) => ({
    leg: { ...leg, modelDigest: WARM.digest, classIds: [0, 1, 2] },
    replicas: [warm],
  }));
  const open = hold(predictorOf(warm, WARM));
  const leaving = new AbortController();
  const running = failure(legs.infer(reachable, image(plain(1, 2, 3)), 1, { ...LIMITS, signal: leaving.signal }));
  while (predictorOf(warm, WARM).calls < 2) await sleep(1);
  leaving.abort(new Error('gone'));
  t.is((await running).message, 'gone');
  open();
});

test('a new revision is taken over under load without a failed request', async (t) => {
  const old = await startSpecialist(t, 'a', [WARM, COLD]);
  const reversed = smallModel('reversed', { blue: [0, 0, -9], green: [0, -9, 0] });
  const next = await startSpecialist(t, 'b', [reversed]);
  const { router, infer } = await startRouter(t, [old]);
  const seen = new Set<string>();
  let isDone = false;
  const load = async () => {
    while (!isDone) seen.add((await infer(image(plain(0, 0, 255)))).modelVersion);
  };
  const callers = [load(), load(), load()];
  const leg = { specialist: 'cold', modelDigest: reversed.digest, classIds: [3, 4], dustbin: false };
  router.apply({ kind: 'route-put', record: { ...ROUTE, legs: [ROUTE.legs[0] as typeof leg, leg] }, revision: 5 });
  while (!seen.has('4')) await sleep(1);
  t.deepEqual(router.routes(), { colours: 4 });
  router.apply({ kind: 'specialists', specialists: [old, next] });
  t.deepEqual(router.routes(), { colours: 5 });
  while (!seen.has('5')) await sleep(1);
  isDone = true;
  await Promise.all(callers);
  t.deepEqual([...seen], ['4', '5']);
});
