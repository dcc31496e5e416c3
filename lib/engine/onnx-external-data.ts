/** Which other files an ONNX model keeps its weights in (onnx.proto3: `TensorProto.external_data`). */
import protobuf from 'protobufjs';
import { StillhouseError } from '../base/errors.ts';

const repeated = (type: string, id: number) => ({ rule: 'repeated', type, id });
const one = (type: string, id: number) => ({ type, id });

/** Only what leads to the names of files; a decoder passes over everything else, the weights among it. */
const schema = protobuf.Root.fromJSON({
  nested: {
    ModelProto: { fields: { graph: one('GraphProto', 7) } },
    GraphProto: { fields: { node: repeated('NodeProto', 1), initializer: repeated('TensorProto', 5) } },
    NodeProto: { fields: { attribute: repeated('AttributeProto', 5) } },
    AttributeProto: {
      fields: {
        t: one('TensorProto', 5),
        g: one('GraphProto', 6),
        tensors: repeated('TensorProto', 10),
        graphs: repeated('GraphProto', 11),
      },
    },
    TensorProto: { fields: { externalData: repeated('EntryProto', 13) } },
    EntryProto: { fields: { key: one('string', 1), value: one('string', 2) } },
  },
});

interface Tensor {
  readonly externalData: readonly { readonly key: string; readonly value: string }[];
}

interface Graph {
  readonly node: readonly { readonly attribute: readonly Attribute[] }[];
  readonly initializer: readonly Tensor[];
}

interface Attribute {
  readonly t: Tensor | null;
  readonly g: Graph | null;
  readonly tensors: readonly Tensor[];
  readonly graphs: readonly Graph[];
}

/**
 * The files' paths from the model's folder, each once, as the model names them.
 * @param where names it in errors
 * @throws INVALID_ARGUMENT when it is no ONNX model
 */
export function externalDataFiles(model: Uint8Array, where: string): string[] {
  let graph: Graph | null;
  try {
    ({ graph } = schema.lookupType('ModelProto').decode(model) as unknown as { graph: Graph | null });
  } catch (cause) {
    const message = `${where} is no ONNX model: ${(cause as Error).message}`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: where, cause });
  }
  if (graph === null) throw new StillhouseError('INVALID_ARGUMENT', `${where} is no ONNX model: it has no graph`);
  return [...new Set(filesOf(graph))];
}

function filesOf({ node, initializer }: Graph): string[] {
  const attributes = node.flatMap(({ attribute }) => attribute);
  const tensors = [...initializer, ...attributes.flatMap(({ t, tensors }) => (t === null ? tensors : [t, ...tensors]))];
  const graphs = attributes.flatMap(({ g, graphs }) => (g === null ? graphs : [g, ...graphs]));
  const named = tensors.flatMap(({ externalData }) => externalData.filter(({ key }) => key === 'location'));
  return [...named.map(({ value }) => value), ...graphs.flatMap(filesOf)];
}
