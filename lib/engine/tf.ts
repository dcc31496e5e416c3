/**
 * The one place that imports TensorFlow; everything else takes `tf` from here. TensorFlow's library computes where its native
 * binding is there and loads, plain TensorFlow.js where it is not.
 */
import './resident-library.ts';
import { createRequire } from 'node:module';
import tf from '@tensorflow/tfjs';
import type { NodeJSKernelBackend } from '@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend.js';
import { StillhouseError } from '../base/errors.ts';
import { engineChoice } from './environment.ts';
import { createPlainBackend } from './plain/backend.ts';

export { tf };

export type Tensor = tf.Tensor;

/** An attribute of a TensorFlow operation, as the binding takes it. */
export interface OpAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

/** A tensor as the binding knows it: an id for its handle, shape and TensorFlow's number for the dtype. */
export interface TensorHandle {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;
}

/** TensorFlow's numbers for types of values and of attributes. */
export interface TypeNumbers {
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  readonly TF_INT64: number;
  readonly TF_BOOL: number;
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_SHAPE: number;
}

/** TensorFlow's operations by name, executed at once: what our kernels are made of on either engine. */
export interface Backend {
  readonly binding: TypeNumbers;
  executeSingleOutput(op: string, attributes: OpAttribute[], inputs: Tensor[]): Tensor;
  executeMultipleOutputs(op: string, attributes: OpAttribute[], inputs: Tensor[], outputs: number): Tensor[];
}

/** The part of tfjs-node's native binding that we call. */
export interface Binding extends TypeNumbers {
  createTensor(shape: readonly number[], dtype: number, values: unknown): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
  executeOp(op: string, attributes: OpAttribute[], inputIds: number[], outputs: number): TensorHandle[];
  loadSavedModel(directory: string, tags: string): number;
  deleteSavedModel(id: number): void;
  runSavedModel(id: number, inputIds: number[], inputs: string, outputs: string): TensorHandle[];
  isUsingGpuDevice(): boolean;
  readonly TF_Version: string;
  readonly TF_UINT8: number;
}

/** tfjs-node's backend with the members that we reach through: the tensor table and the binding, which tracing replaces. */
export interface NativeBackend extends Backend {
  binding: Binding;
  readonly tensorMap: {
    get(dataId: object): { id: number; shape: number[]; dtype: number; values: unknown };
  };
  createOutputTensor(handle: TensorHandle): Tensor;
}

/** One input or output of a signature of a SavedModel. */
export interface SavedPort {
  /** Of the graph's node, with the number of its output. */
  readonly name: string;
  /** `DT_FLOAT` and so on. */
  readonly tfDtype: string;
  readonly shape: readonly { getSize(): number }[];
}

/** What a SavedModel says of one of its graphs. */
export interface SavedGraph {
  readonly tags: readonly string[];
  readonly signatureDefs: Readonly<
    Record<
      string,
      { readonly inputs: Readonly<Record<string, SavedPort>>; readonly outputs: Readonly<Record<string, SavedPort>> }
    >
  >;
}

/** The part of tfjs-node's own functions that we call. */
interface NodeFunctions {
  readonly node: { getMetaGraphsFromSavedModel(folder: string): Promise<SavedGraph[]> };
}

let nodeFunctions: NodeFunctions | undefined;

/** What computes in this process. */
export type EngineInUse =
  | { readonly kind: 'native' }
  | {
      readonly kind: 'plain';
      /** Why not TensorFlow's library. */
      readonly reason: string;
    };

export const engineInUse: EngineInUse = loadEngine();

const plainBackend = engineInUse.kind === 'plain' ? createPlainBackend() : undefined;

/** @throws FAILED_PRECONDITION when `STILLHOUSE_ENGINE=native` cannot be had */
function loadEngine(): EngineInUse {
  const choice = engineChoice();
  if (choice === 'plain') return { kind: 'plain', reason: 'STILLHOUSE_ENGINE is plain' };
  try {
    // It registers TensorFlow's library with tfjs as the backend that computes.
    nodeFunctions = createRequire(import.meta.url)('@tensorflow/tfjs-node-gpu') as NodeFunctions;
    return { kind: 'native' };
  } catch (cause) {
    const [first = ''] = StillhouseError.from(cause).message.split('\n');
    const reason = `the native binding of TensorFlow cannot be loaded: ${first.trim()}`;
    if (choice === 'auto') return { kind: 'plain', reason };
    throw new StillhouseError('FAILED_PRECONDITION', `STILLHOUSE_ENGINE is native, but ${reason}`, {
      field: 'STILLHOUSE_ENGINE',
      hint: 'run `npm run setup`; it builds the engine',
      cause,
    });
  }
}

export function backend(): Backend {
  return plainBackend ?? nativeBackend();
}

/** @throws FAILED_PRECONDITION on plain TensorFlow.js */
export function nativeBackend(): NativeBackend {
  if (plainBackend === undefined) return tf.backend() as NodeJSKernelBackend as unknown as NativeBackend;
  throw new StillhouseError(
    'FAILED_PRECONDITION',
    "only TensorFlow's library has graphs, and plain TensorFlow.js runs",
    {
      hint: 'run `npm run setup`; it builds the engine',
    },
  );
}

/** The graphs of a SavedModel's folder. @throws FAILED_PRECONDITION on plain TensorFlow.js */
export async function savedGraphs(folder: string): Promise<SavedGraph[]> {
  if (nodeFunctions !== undefined) return nodeFunctions.node.getMetaGraphsFromSavedModel(folder);
  throw new StillhouseError(
    'FAILED_PRECONDITION',
    "only TensorFlow's library reads SavedModels, and plain TensorFlow.js runs",
    {
      hint: 'run `npm run setup`; it builds the engine',
    },
  );
}

/** The id of a tensor's handle; values that tfjs has not yet handed to TensorFlow are handed over now. */
export function handleOf(tensor: Tensor): number {
  const { tensorMap, binding } = nativeBackend();
  const entry = tensorMap.get(tensor.dataId);
  if (entry.values !== null && entry.values !== undefined) {
    entry.id = binding.createTensor(entry.shape, entry.dtype, entry.values);
    entry.values = null;
  }
  return entry.id;
}

/** TensorFlow's number for a tensor's dtype. */
export function dtypeOf(tensor: Tensor): number {
  return nativeBackend().tensorMap.get(tensor.dataId).dtype;
}
