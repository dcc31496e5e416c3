/**
 * TensorFlow.js's graph model: `model.json` with the graph in protobuf's JSON, and the constants' values in shards
 * (https://github.com/tensorflow/tfjs/blob/master/tfjs-converter/docs/format.md).
 */
import { bytesOf } from '../../base/digest.ts';
import type { TensorflowAttribute, TensorflowGraph, TensorflowNode, TensorflowPort } from './tensorflow-nodes.ts';

const DATA_TYPES = { float: 'DT_FLOAT', int32: 'DT_INT32' } as const;

/** Shards of this size are cached by browsers; the converter's default. */
const SHARD_BYTES = 4 * 1024 * 1024;

/** `tensorflow::GraphDef.versions`, as in our SavedModels; TensorFlow.js only shows it. */
const VERSIONS = { producer: 1882, minConsumer: 0 };

/** A graph model's files by name. */
export function encodeTfjs(
  graph: TensorflowGraph,
  metadata: Readonly<Record<string, string>>,
): Map<string, Uint8Array> {
  const constants = graph.nodes.flatMap(({ name, attributes }) => {
    const { value } = attributes;
    return value !== undefined && 'tensor' in value ? [{ name, ...value.tensor }] : [];
  });
  const values = Buffer.concat(constants.map((constant) => bytesOf(constant.values)));
  const count = Math.max(1, Math.ceil(values.length / SHARD_BYTES));
  const paths = Array.from({ length: count }, (_, index) => `group1-shard${index + 1}of${count}.bin`);
  const weights = constants.map(({ name, shape, values }) => ({
    name,
    shape,
    dtype: values instanceof Int32Array ? 'int32' : 'float32',
  }));
  const model = {
    format: 'graph-model',
    generatedBy: 'stillhouse',
    convertedBy: null,
    signature: { inputs: portsMessage(graph.inputs), outputs: portsMessage(graph.outputs) },
    userDefinedMetadata: metadata,
    modelTopology: { node: graph.nodes.map(nodeMessage), versions: VERSIONS },
    weightsManifest: [{ paths, weights }],
  };
  const shards = paths.map((path, index): [string, Uint8Array] => [
    path,
    values.subarray(index * SHARD_BYTES, (index + 1) * SHARD_BYTES),
  ]);
  return new Map([...shards, ['model.json', new TextEncoder().encode(JSON.stringify(model))]]);
}

function nodeMessage({ name, op, inputs, attributes }: TensorflowNode): object {
  const attr = Object.entries(attributes).map(([key, value]) => [key, attributeMessage(value)]);
  return { name, op, input: inputs, attr: Object.fromEntries(attr) };
}

/** 64-bit numbers are texts and bytes are base64 in protobuf's JSON. */
function attributeMessage(value: TensorflowAttribute): object {
  if ('type' in value) return { type: DATA_TYPES[value.type] };
  if ('shape' in value) return { shape: shapeMessage(value.shape) };
  if ('text' in value) return { s: Buffer.from(value.text).toString('base64') };
  if ('float' in value) return { f: value.float };
  if ('boolean' in value) return { b: value.boolean };
  if ('integers' in value) return { list: { i: value.integers.map(String) } };
  const { shape, values } = value.tensor;
  const dtype = DATA_TYPES[values instanceof Int32Array ? 'int32' : 'float'];
  return { tensor: { dtype, tensorShape: shapeMessage(shape) } };
}

function portsMessage(ports: readonly TensorflowPort[]): object {
  return Object.fromEntries(
    ports.map(({ name, shape }) => [
      name,
      { name: `${name}:0`, dtype: DATA_TYPES.float, tensorShape: shapeMessage(shape) },
    ]),
  );
}

function shapeMessage(shape: readonly number[]): object {
  return { dim: shape.map((size) => ({ size: String(size) })) };
}
