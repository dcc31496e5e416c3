/** A loaded graph: a TensorFlow session with its own resource variables. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StillhouseError } from '../base/errors.ts';
import type { GraphDefinition } from './graph-definition.ts';
import { handleOf, nativeBackend, type Tensor } from './tf.ts';

export class Session {
  readonly #id: number;
  #open = true;

  /** Loads the graph. @throws INTERNAL with TensorFlow's message when it is no valid graph. */
  constructor(graph: GraphDefinition) {
    const directory = mkdtempSync(join(tmpdir(), 'stillhouse-graph-'));
    try {
      writeFileSync(join(directory, 'saved_model.pb'), graph.toSavedModel());
      this.#id = nativeBackend().binding.loadSavedModel(directory, 'serve');
    } catch (error) {
      throw StillhouseError.from(error, 'TensorFlow refused the compiled graph');
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }

  /**
   * Feeds and fetches. Feeds stay the caller's; fetched tensors become the caller's to dispose.
   * @param feeds tensors by node name
   * @param fetches node names, `name` or `name:output`
   */
  run(feeds: Readonly<Record<string, Tensor>>, fetches: readonly string[]): Tensor[] {
    const engine = nativeBackend();
    const names = Object.keys(feeds);
    const handles = engine.binding.runSavedModel(
      this.#id,
      names.map((name) => handleOf(feeds[name] as Tensor)),
      names.map(withOutput).join(','),
      fetches.map(withOutput).join(','),
    );
    return handles.map((handle) => engine.createOutputTensor(handle));
  }

  /** As `run` with one fetch, read into JavaScript. */
  read(feeds: Readonly<Record<string, Tensor>>, fetch: string): Float32Array {
    const tensor = this.run(feeds, [fetch])[0] as Tensor;
    const values = tensor.dataSync() as Float32Array;
    tensor.dispose();
    return values;
  }

  /** Frees the graph and its variables. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    nativeBackend().binding.deleteSavedModel(this.#id);
  }
}

function withOutput(name: string): string {
  return name.includes(':') ? name : `${name}:0`;
}
