/** TensorFlow.js's own models, graph models and layers models, from files. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { StillhouseError } from '../base/errors.ts';
import type { PortFact } from './ports.ts';
import { type Tensor, tf } from './tf.ts';

export interface TfjsModel {
  readonly inputs: readonly PortFact[];
  readonly outputs: readonly PortFact[];
  /** Feeds one input and fetches one output, which becomes the caller's. */
  run(input: string, values: Tensor, output: string): Promise<Tensor>;
  close(): void;
}

/**
 * @param location of `model.json`, with its weights beside it
 * @throws INVALID_ARGUMENT with TensorFlow.js's message when it is no such model
 */
export async function openTfjsModel(location: string): Promise<TfjsModel> {
  try {
    const json = JSON.parse(await readFile(location, 'utf8')) as tf.io.ModelJSON;
    const handler = { load: () => artefactsOf(json, path.dirname(location)) };
    // Converted models say what they are; older layers models do not.
    const isGraph = json.format === 'graph-model' || 'node' in json.modelTopology;
    return isGraph ? graphModel(await tf.loadGraphModel(handler)) : layersModel(await tf.loadLayersModel(handler));
  } catch (cause) {
    const message = `TensorFlow.js refuses the model: ${(cause as Error).message}`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { cause });
  }
}

function artefactsOf(json: tf.io.ModelJSON, folder: string): Promise<tf.io.ModelArtifacts> {
  return tf.io.getModelArtifactsForJSON(json, async (manifest) => {
    const files = manifest.flatMap(({ paths }) => paths);
    const shards = await Promise.all(files.map((file) => readFile(path.join(folder, file))));
    const bytes = Buffer.concat(shards);
    return [
      manifest.flatMap(({ weights }) => weights),
      bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer,
    ];
  });
}

function graphModel(model: tf.GraphModel): TfjsModel {
  // Signatures name what they take; without one the graph's own nodes do.
  const signature = model.modelSignature as { readonly inputs?: object; readonly outputs?: object } | undefined;
  const named = (ports: typeof model.inputs, keys: object | undefined): PortFact[] => {
    const names = Object.keys(keys ?? {});
    return ports.map(({ name, shape, dtype }, index) => ({
      name: names.length === ports.length ? (names[index] as string) : name,
      type: dtype,
      shape: shape ?? null,
    }));
  };
  let hasControlFlow = false;
  return {
    inputs: named(model.inputs, signature?.inputs),
    outputs: named(model.outputs, signature?.outputs),
    run: async (input, values, output) => {
      const feeds = { [input]: values };
      if (hasControlFlow) return (await model.executeAsync(feeds, output)) as Tensor;
      try {
        return model.execute(feeds, output) as Tensor;
      } catch (error) {
        // There is no other way to ask.
        if (!(error as Error).message.includes('executeAsync')) throw error;
        hasControlFlow = true;
        return (await model.executeAsync(feeds, output)) as Tensor;
      }
    },
    close: () => model.dispose(),
  };
}

function layersModel(model: tf.LayersModel): TfjsModel {
  const facts = (tensors: typeof model.inputs): PortFact[] =>
    // As Keras does, by the layers that they come out of.
    tensors.map(({ sourceLayer, shape, dtype }) => ({
      name: sourceLayer.name,
      type: dtype,
      shape: shape.map((size) => size ?? -1),
    }));
  const outputs = facts(model.outputs);
  return {
    inputs: facts(model.inputs),
    outputs,
    run: async (_, values, output) => {
      const answers = [model.predictOnBatch(values)].flat();
      const wanted = outputs.findIndex(({ name }) => name === output);
      for (const [index, answer] of answers.entries()) if (index !== wanted) answer.dispose();
      return answers[wanted] as Tensor;
    },
    close: () => {
      model.dispose();
    },
  };
}
