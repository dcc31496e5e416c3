/** The one place that imports TensorFlow; everything else takes `tf` from here. */
import './resident-library.ts';
import tf from '@tensorflow/tfjs-node-gpu';
import type { NodeJSKernelBackend } from '@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend.js';

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

/** The part of tfjs-node's native binding that we call. */
export interface Binding {
  createTensor(shape: readonly number[], dtype: number, values: unknown): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
  executeOp(op: string, attributes: OpAttribute[], inputIds: number[], outputs: number): TensorHandle[];
  loadSavedModel(directory: string, tags: string): number;
  deleteSavedModel(id: number): void;
  runSavedModel(id: number, inputIds: number[], inputs: string, outputs: string): TensorHandle[];
  isUsingGpuDevice(): boolean;
  readonly TF_Version: string;
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

/** tfjs-node's backend with the members that we reach through: the tensor table and the binding, which tracing replaces. */
export interface Backend {
  binding: Binding;
  readonly tensorMap: {
    get(dataId: object): { id: number; shape: number[]; dtype: number; values: unknown };
  };
  createOutputTensor(handle: TensorHandle): Tensor;
  executeSingleOutput(op: string, attributes: OpAttribute[], inputs: Tensor[]): Tensor;
  executeMultipleOutputs(op: string, attributes: OpAttribute[], inputs: Tensor[], outputs: number): Tensor[];
}

export function backend(): Backend {
  return tf.backend() as NodeJSKernelBackend as unknown as Backend;
}

/** The id of a tensor's handle; values that tfjs has not yet handed to TensorFlow are handed over now. */
export function handleOf(tensor: Tensor): number {
  const { tensorMap, binding } = backend();
  const entry = tensorMap.get(tensor.dataId);
  if (entry.values !== null && entry.values !== undefined) {
    entry.id = binding.createTensor(entry.shape, entry.dtype, entry.values);
    entry.values = null;
  }
  return entry.id;
}

/** TensorFlow's number for a tensor's dtype. */
export function dtypeOf(tensor: Tensor): number {
  return backend().tensorMap.get(tensor.dataId).dtype;
}
