/** Models in the formats of other frameworks, in the compute thread: images in, numbers out. */
import { StillhouseError } from '../base/errors.ts';
import { OnnxSession } from '../engine/onnx-runtime.ts';
import type { PortFact } from '../engine/ports.ts';
import { SavedModel } from '../engine/saved-model.ts';
import { type Tensor, tf } from '../engine/tf.ts';
import { openTfjsModel } from '../engine/tfjs-model.ts';
import { type ImageBatch, type ImageInput, type InputValues, inputValues } from './image-input.ts';

export interface ForeignModelFile {
  readonly type: 'onnx' | 'saved-model' | 'tfjs';
  /** The `.onnx` file, the folder of `saved_model.pb`, `model.json`. */
  readonly location: string;
  /** Of a SavedModel. */
  readonly signature: string;
}

export interface ForeignFacts {
  readonly inputs: readonly PortFact[];
  readonly outputs: readonly PortFact[];
}

export interface ForeignBatch extends ImageBatch {
  readonly input: ImageInput & { readonly name: string };
  /** Of one row: as `inputShape` has it, or flat. */
  readonly rowShape: readonly number[];
  readonly output: string;
  /** Of the batch that is computed; those beyond the images are 0. */
  readonly rows: number;
}

/** Row-major. */
export interface ForeignAnswer {
  readonly values: Float32Array;
  readonly shape: readonly number[];
}

export interface ForeignModel {
  readonly facts: ForeignFacts;
  predict(batch: ForeignBatch): Promise<ForeignAnswer>;
  close(): void | Promise<void>;
}

interface Feed {
  readonly name: string;
  readonly values: InputValues;
  readonly shape: readonly number[];
}

/** @throws INVALID_ARGUMENT with the framework's message; FAILED_PRECONDITION for a SavedModel on plain TensorFlow.js */
export async function openForeignModel(file: ForeignModelFile): Promise<ForeignModel> {
  const opened = await openers[file.type](file);
  return {
    facts: opened.facts,
    predict: async (batch) => {
      const { input, rowShape, output, rows } = batch;
      const feed = { name: input.name, values: inputValues(batch, input, rows), shape: [rows, ...rowShape] };
      return opened.infer(feed, output);
    },
    close: () => opened.close(),
  };
}

interface Opened {
  readonly facts: ForeignFacts;
  infer(feed: Feed, output: string): Promise<ForeignAnswer>;
  close(): void | Promise<void>;
}

const openers: Readonly<Record<ForeignModelFile['type'], (file: ForeignModelFile) => Promise<Opened>>> = {
  onnx: async ({ location }) => {
    const session = await OnnxSession.open(location);
    return {
      facts: { inputs: session.inputs, outputs: session.outputs },
      infer: (feed, output) => session.infer(feed, output),
      close: () => session.close(),
    };
  },
  'saved-model': async ({ location, signature }) => {
    const model = await SavedModel.open(location, signature);
    return {
      facts: { inputs: model.inputs, outputs: model.outputs },
      infer: async (feed, output) => readOut(model.run(feed, output)),
      close: () => model.close(),
    };
  },
  tfjs: async ({ location }) => {
    const model = await openTfjsModel(location);
    return {
      facts: { inputs: model.inputs, outputs: model.outputs },
      infer: async ({ name, values, shape }, output) => {
        const feed = tf.tensor(values, [...shape], values instanceof Uint8Array ? 'int32' : 'float32');
        try {
          return readOut(await model.run(name, feed, output));
        } catch (cause) {
          throw new StillhouseError('INVALID_ARGUMENT', `TensorFlow.js: ${(cause as Error).message}`, { cause });
        } finally {
          feed.dispose();
        }
      },
      close: () => model.close(),
    };
  },
};

function readOut(tensor: Tensor): ForeignAnswer {
  const { shape } = tensor;
  const values = Float32Array.from(tensor.dataSync());
  tensor.dispose();
  return { values, shape };
}
