/**
 * Writes TensorFlow's GraphDef and SavedModel messages (tensorflow/core/framework/graph.proto,
 * tensorflow/core/protobuf/saved_model.proto) node by node, with the message classes that tfjs-node ships.
 */
import { createRequire } from 'node:module';
import { bytesOf } from '../base/digest.ts';
import { StillhouseError } from '../base/errors.ts';
import { backend, type OpAttribute } from './tf.ts';

// tfjs-node publishes the generated messages as untyped CommonJS.
const messages = createRequire(import.meta.url)('@tensorflow/tfjs-node-gpu/dist/proto/api_pb.js');

/** `tensorflow::GraphDef.versions.producer` of TensorFlow 2.x releases that know all operations used here. */
const PRODUCER = 1882;

export interface AttributeMessage {
  setType(type: number): void;
  setShape(shape: unknown): void;
  setS(bytes: Uint8Array): void;
  setI(value: number): void;
  setF(value: number): void;
  setB(value: boolean): void;
  setTensor(tensor: unknown): void;
  setList(list: unknown): void;
}

/** Sets one attribute of a node. */
export type Attribute = (message: AttributeMessage) => void;

function shapeMessage(shape: readonly number[]): unknown {
  const message = new messages.TensorShape();
  for (const size of shape) {
    const dimension = new messages.TensorShape.Dim();
    dimension.setSize(size);
    message.addDim(dimension);
  }
  return message;
}

export const attribute = {
  type:
    (dtype: number): Attribute =>
    (message) =>
      message.setType(dtype),
  shape:
    (shape: readonly number[]): Attribute =>
    (message) =>
      message.setShape(shapeMessage(shape)),
  text:
    (value: string): Attribute =>
    (message) =>
      message.setS(new TextEncoder().encode(value)),
  integer:
    (value: number): Attribute =>
    (message) =>
      message.setI(value),
  float:
    (value: number): Attribute =>
    (message) =>
      message.setF(value),
  integers:
    (values: readonly number[]): Attribute =>
    (message) => {
      const list = new messages.AttrValue.ListValue();
      list.setIList(values);
      message.setList(list);
    },
  boolean:
    (value: boolean): Attribute =>
    (message) =>
      message.setB(value),
  tensor:
    (dtype: number, shape: readonly number[], content: Uint8Array): Attribute =>
    (message) => {
      const tensor = new messages.Tensor();
      tensor.setDtype(dtype);
      tensor.setTensorShape(shapeMessage(shape));
      tensor.setTensorContent(content);
      message.setTensor(tensor);
    },
};

/** The attribute of an executed operation, as the same attribute of a node. */
export function attributeFromOp(op: OpAttribute): Attribute {
  const types = backend().binding;
  const value = op.value;
  return (message) => {
    if (op.type === types.TF_ATTR_SHAPE) message.setShape(shapeMessage(value as number[]));
    else if (Array.isArray(value)) message.setList(listMessage(op, value));
    else if (op.type === types.TF_ATTR_INT) message.setI(value as number);
    else if (op.type === types.TF_ATTR_FLOAT) message.setF(value as number);
    else if (op.type === types.TF_ATTR_BOOL) message.setB(value as boolean);
    else if (op.type === types.TF_ATTR_TYPE) message.setType(value as number);
    else if (op.type === types.TF_ATTR_STRING) message.setS(new TextEncoder().encode(value as string));
    else throw new StillhouseError('INTERNAL', `attribute ${op.name} has a type that graphs are not written with`);
  };
}

function listMessage(op: OpAttribute, values: readonly number[]): unknown {
  const types = backend().binding;
  const list = new messages.AttrValue.ListValue();
  if (op.type === types.TF_ATTR_INT) list.setIList(values);
  else if (op.type === types.TF_ATTR_FLOAT) list.setFList(values);
  else if (op.type === types.TF_ATTR_TYPE) list.setTypeList(values);
  else throw new StillhouseError('INTERNAL', `list attribute ${op.name} has a type that graphs are not written with`);
  return list;
}

/** A node that a signature names; -1 stands for any size. */
export interface SignaturePort {
  readonly name: string;
  readonly dtype: number;
  readonly shape: readonly number[];
}

export interface Signature {
  readonly inputs: readonly SignaturePort[];
  readonly outputs: readonly SignaturePort[];
}

function signatureMessage({ inputs, outputs }: Signature): unknown {
  const message = new messages.SignatureDef();
  message.setMethodName('tensorflow/serving/predict');
  const add = (map: Map<string, unknown>, ports: readonly SignaturePort[]) => {
    for (const { name, dtype, shape } of ports) {
      const info = new messages.TensorInfo();
      info.setName(`${name}:0`);
      info.setDtype(dtype);
      info.setTensorShape(shapeMessage(shape));
      map.set(name, info);
    }
  };
  add(message.getInputsMap(), inputs);
  add(message.getOutputsMap(), outputs);
  return message;
}

/** A graph under construction. Node names are unique; an input is `name` or `name:output`, a control input `^name`. */
export class GraphDefinition {
  readonly #nodes: unknown[] = [];
  readonly #names = new Set<string>();

  /** Adds a node and answers its name. */
  add(name: string, op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>>): string {
    if (this.#names.has(name)) throw new StillhouseError('INTERNAL', `graph node ${name} exists already`);
    this.#names.add(name);
    const node = new messages.NodeDef();
    node.setName(name);
    node.setOp(op);
    node.setInputList(inputs);
    for (const [key, set] of Object.entries(attributes)) {
      const message = new messages.AttrValue();
      set(message);
      node.getAttrMap().set(key, message);
    }
    this.#nodes.push(node);
    return name;
  }

  placeholder(name: string, dtype: number, shape: readonly number[]): string {
    return this.add(name, 'Placeholder', [], { dtype: attribute.type(dtype), shape: attribute.shape(shape) });
  }

  float(name: string, values: ArrayLike<number>, shape: readonly number[]): string {
    const { TF_FLOAT } = backend().binding;
    return this.add(name, 'Const', [], {
      dtype: attribute.type(TF_FLOAT),
      value: attribute.tensor(TF_FLOAT, shape, bytesOf(Float32Array.from(values))),
    });
  }

  integers(name: string, values: readonly number[]): string {
    const { TF_INT32 } = backend().binding;
    return this.add(name, 'Const', [], {
      dtype: attribute.type(TF_INT32),
      value: attribute.tensor(TF_INT32, [values.length], bytesOf(Int32Array.from(values))),
    });
  }

  /** A scalar int32, for axes. */
  integer(name: string, value: number): string {
    const { TF_INT32 } = backend().binding;
    return this.add(name, 'Const', [], {
      dtype: attribute.type(TF_INT32),
      value: attribute.tensor(TF_INT32, [], bytesOf(Int32Array.of(value))),
    });
  }

  /**
   * The graph as the bytes of a `saved_model.pb` with the tag `serve`.
   * @param signature what servers call: `serving_default`
   */
  toSavedModel(signature?: Signature): Uint8Array {
    const graph = new messages.GraphDef();
    graph.setNodeList(this.#nodes);
    const versions = new messages.VersionDef();
    versions.setProducer(PRODUCER);
    graph.setVersions(versions);
    const info = new messages.MetaGraphDef.MetaInfoDef();
    info.setTagsList(['serve']);
    const meta = new messages.MetaGraphDef();
    meta.setMetaInfoDef(info);
    meta.setGraphDef(graph);
    if (signature !== undefined) meta.getSignatureDefMap().set('serving_default', signatureMessage(signature));
    const model = new messages.SavedModel();
    model.setSavedModelSchemaVersion(1);
    model.setMetaGraphsList([meta]);
    return model.serializeBinary();
  }
}
