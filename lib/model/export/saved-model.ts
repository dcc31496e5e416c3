/** A TensorFlow SavedModel (tensorflow/core/protobuf/saved_model.proto): one graph whose weights are constants. */
import { bytesOf } from '../../base/digest.ts';
import { type Attribute, attribute, GraphDefinition } from '../../engine/graph-definition.ts';
import type { TensorflowAttribute, TensorflowGraph, TensorflowPort } from './tensorflow-nodes.ts';

/** Of tensorflow/core/framework/types.proto: known without starting TensorFlow, of which only the messages are needed. */
const DATA_TYPE = { float: 1, int32: 3 } as const;

/** The bytes of `saved_model.pb`, with the signature `serving_default`. */
export function encodeSavedModel({ nodes, inputs, outputs }: TensorflowGraph): Uint8Array {
  const graph = new GraphDefinition();
  for (const { name, op, inputs: sources, attributes } of nodes) {
    const entries = Object.entries(attributes).map(([key, value]) => [key, attributeOf(value)] as const);
    graph.add(name, op, sources, Object.fromEntries(entries));
  }
  const port = ({ name, shape }: TensorflowPort) => ({ name, shape, dtype: DATA_TYPE.float });
  return graph.toSavedModel({ inputs: inputs.map(port), outputs: outputs.map(port) });
}

function attributeOf(value: TensorflowAttribute): Attribute {
  if ('type' in value) return attribute.type(DATA_TYPE[value.type]);
  if ('shape' in value) return attribute.shape(value.shape);
  if ('text' in value) return attribute.text(value.text);
  if ('float' in value) return attribute.float(value.float);
  if ('boolean' in value) return attribute.boolean(value.boolean);
  if ('integers' in value) return attribute.integers(value.integers);
  const { shape, values } = value.tensor;
  return attribute.tensor(DATA_TYPE[values instanceof Int32Array ? 'int32' : 'float'], shape, bytesOf(values));
}
