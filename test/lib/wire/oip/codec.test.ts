import test from 'ava';
import { StillhouseError } from '../../../../lib/base/errors.ts';
import type { Random } from '../../../../lib/base/random.ts';
import { type Datatype, FIXED_TYPES } from '../../../../lib/wire/oip/datatypes.ts';
import { decodeRequest, encodeRequest, encodeResponse } from '../../../../lib/wire/oip/grpc-codec.ts';
import { rawOfTensor, tensorFromRaw, textTensor, textValues } from '../../../../lib/wire/oip/raw-tensor.ts';
import type { InferRequest, OipTensor } from '../../../../lib/wire/oip/types.ts';
import { between, forCases } from '../../../helpers/property.ts';

type RequestMessage = Parameters<typeof decodeRequest>[0];

const DATATYPES: readonly Datatype[] = [...(Object.keys(FIXED_TYPES) as Datatype[]), 'BYTES'];

function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.nextInt(256));
}

function randomTensor(random: Random, name: string, datatype: Datatype): OipTensor {
  const shape = Array.from({ length: between(random, 0, 3) }, () => between(random, 0, 4));
  const count = shape.reduce((product, size) => product * size, 1);
  if (datatype === 'BYTES') {
    const values = Array.from({ length: count }, () => randomBytes(random, between(random, 0, 9)));
    return { name, datatype, shape, values };
  }
  const raw = randomBytes(random, count * FIXED_TYPES[datatype].BYTES_PER_ELEMENT);
  return tensorFromRaw(name, datatype, shape, raw);
}

/** Messages arrive as slices of a larger buffer, at any offset. */
function misplaced(raw: Uint8Array, offset: number): Uint8Array {
  const buffer = new Uint8Array(raw.length + offset);
  buffer.set(raw, offset);
  return buffer.subarray(offset);
}

function refused(run: () => unknown): StillhouseError {
  try {
    run();
  } catch (error) {
    if (error instanceof StillhouseError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

const EMPTY_CONTENTS = {
  boolContents: [],
  intContents: [],
  int64Contents: [],
  uintContents: [],
  uint64Contents: [],
  fp32Contents: [],
  fp64Contents: [],
  bytesContents: [],
};

function message(parts: Partial<RequestMessage>): RequestMessage {
  const empty = { modelName: 'm', modelVersion: '', id: '', parameters: {}, inputs: [], outputs: [] };
  return { ...empty, rawInputContents: [], ...parts };
}

function typed(datatype: string, shape: number[], contents: Partial<typeof EMPTY_CONTENTS> | Record<string, unknown>) {
  const all = { ...EMPTY_CONTENTS, ...contents } as RequestMessage['inputs'][number]['contents'];
  return message({ inputs: [{ name: 'x', datatype, shape, parameters: {}, contents: all }] });
}

test('raw bytes of every datatype come back as they were, from any offset', async (t) => {
  await forCases(t, 200, (random) => {
    for (const datatype of DATATYPES) {
      const tensor = randomTensor(random, 'x', datatype);
      const raw = rawOfTensor(tensor);
      const again = tensorFromRaw('x', datatype, tensor.shape, misplaced(raw, between(random, 0, 9)));
      t.deepEqual(Buffer.from(rawOfTensor(again)), Buffer.from(raw));
    }
  });
});

test('a request survives its gRPC message', async (t) => {
  await forCases(t, 100, (random) => {
    const request: InferRequest = {
      modelName: 'route',
      modelVersion: '3',
      id: `id-${random.nextInt(100)}`,
      parameters: { flag: random.nextInt(2) === 0, text: 'ä', real: random.nextFloat() },
      inputs: DATATYPES.map((datatype, index) => randomTensor(random, `x${index}`, datatype)),
      outputs: ['a', 'b'],
    };
    const sent = encodeRequest(request);
    const arrived = message({
      ...sent,
      inputs: (sent.inputs ?? []).map((input) => ({ ...input, parameters: {}, contents: null })),
      outputs: (sent.outputs ?? []).map((output) => ({ ...output, parameters: {} })),
      rawInputContents: (sent.rawInputContents ?? []).map((raw) => Buffer.from(raw as Uint8Array)),
    } as Partial<RequestMessage>);
    const decoded = decodeRequest(arrived);
    t.deepEqual(
      decoded.inputs.map((input) => ({ ...input, values: Buffer.from(rawOfTensor(input)) })),
      request.inputs.map((input) => ({ ...input, values: Buffer.from(rawOfTensor(input)) })),
    );
    t.deepEqual({ ...decoded, inputs: [] }, { ...request, inputs: [] });
  });
});

test('typed contents of every family are understood', (t) => {
  const cases: [string, Record<string, unknown>, unknown][] = [
    ['BOOL', { boolContents: [true, false] }, Uint8Array.of(1, 0)],
    ['UINT8', { uintContents: [0, 255] }, Uint8Array.of(0, 255)],
    ['INT16', { intContents: [-32768, 7] }, Int16Array.of(-32768, 7)],
    ['UINT32', { uintContents: [1, 4294967295] }, Uint32Array.of(1, 4294967295)],
    ['INT64', { int64Contents: [-5, 2 ** 53 - 1] }, BigInt64Array.of(-5n, 2n ** 53n - 1n)],
    ['UINT64', { uint64Contents: [5, 6] }, BigUint64Array.of(5n, 6n)],
    ['FP32', { fp32Contents: [0.5, Number.NaN] }, Float32Array.of(0.5, Number.NaN)],
    ['FP64', { fp64Contents: [0.1, 2] }, Float64Array.of(0.1, 2)],
    ['BYTES', { bytesContents: [Buffer.from('a'), Buffer.from('')] }, [Buffer.from('a'), Buffer.from('')]],
  ];
  for (const [datatype, contents, expected] of cases) {
    t.deepEqual(decodeRequest(typed(datatype, [2], contents)).inputs[0]?.values, expected as never, datatype);
  }
});

test('tensors that do not add up are refused with the reason and the name', (t) => {
  const floats = { fp32Contents: [1, 2] };
  const raw = (datatype: string, shape: number[], bytes: Uint8Array) =>
    message({
      inputs: [{ name: 'x', datatype, shape, parameters: {}, contents: null }],
      rawInputContents: [Buffer.from(bytes)],
    });
  const cases: [RequestMessage, RegExp][] = [
    [typed('FP32', [3], floats), /has 2 elements, expected 3 for FP32 \[3\]/],
    [typed('FP32', [-2], floats), /shape \[-2\], expected whole numbers/],
    [typed('FP32', [2 ** 20, 2 ** 20], floats), /more than 2147483647 elements/],
    [typed('FP32', [0, 2 ** 20, 2 ** 20], floats), /more than 2147483647 elements/],
    [typed('FP32', Array(17).fill(1), { fp32Contents: [1] }), /17 dimensions/],
    [typed('BF16', [2], floats), /datatype "BF16", expected one of BOOL, /],
    [typed('FP16', [2], floats), /no typed contents/],
    [typed('UINT8', [2], floats), /belong in uint_contents, not fp32_contents/],
    [typed('UINT8', [2], { uintContents: [1, 256] }), /element 1 = 256, out of the range of UINT8/],
    [typed('UINT64', [1], { uint64Contents: [2 ** 60] }), /beyond the whole numbers/],
    [raw('FP32', [2], new Uint8Array(7)), /has 7 bytes, expected 8 for FP32 \[2\]/],
    [raw('BYTES', [1], Uint8Array.of(5, 0, 0, 0, 1)), /element 0 should have 5 bytes, 1 are left/],
    [raw('BYTES', [2], Uint8Array.of(0, 0, 0, 0)), /ends after 1 of 2 BYTES elements/],
    [raw('BYTES', [1], Uint8Array.of(0, 0, 0, 0, 9)), /1 bytes more/],
    [{ ...typed('FP32', [2], floats), rawInputContents: [Buffer.alloc(8)] }, /holds one or the other/],
  ];
  for (const [request, reason] of cases) {
    const error = refused(() => decodeRequest(request));
    t.regex(error.message, reason);
    t.is(error.code, 'INVALID_ARGUMENT');
    t.is(error.field, 'x');
  }
  const two = message({ ...raw('FP32', [2], new Uint8Array(8)), rawInputContents: [Buffer.alloc(8), Buffer.alloc(8)] });
  t.regex(refused(() => decodeRequest(two)).message, /2 entries for 1 tensors/);
  const twice = typed('FP32', [2], floats);
  t.regex(
    refused(() => decodeRequest({ ...twice, inputs: [...twice.inputs, ...twice.inputs] })).message,
    /input "x" is given twice/,
  );
});

test('responses are always raw, and numbers travel as the sender typed them', (t) => {
  const response = encodeResponse({
    modelName: 'm',
    modelVersion: '1',
    id: '',
    parameters: { real: 1, whole: 7n, text: 'a', flag: false },
    outputs: [
      textTensor('label', ['cat', '']),
      { name: 'p', datatype: 'FP32', shape: [1], values: Float32Array.of(1) },
    ],
  });
  t.deepEqual(response.parameters, {
    real: { doubleParam: 1 },
    whole: { int64Param: '7' },
    text: { stringParam: 'a' },
    flag: { boolParam: false },
  });
  t.deepEqual(
    response.rawOutputContents?.map((raw) => [...(raw as Uint8Array)]),
    [
      [3, 0, 0, 0, 99, 97, 116, 0, 0, 0, 0],
      [0, 0, 128, 63],
    ],
  );
  t.true(response.outputs?.every((output) => !('contents' in output)));
});

test('texts survive BYTES', (t) => {
  t.deepEqual(textValues(textTensor('x', ['', 'Vögel', '鳥'])), ['', 'Vögel', '鳥']);
});
