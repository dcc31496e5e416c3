/** Nodes that cut flat vectors into tensors, join them, and wait for others. */
import { attribute, type GraphDefinition } from './graph-definition.ts';
import { backend } from './tf.ts';

/** A tensor's place in a flat vector. */
export interface VectorPiece {
  readonly shape: readonly number[];
  readonly size: number;
}

/** The same values in another shape. */
export function reshape(graph: GraphDefinition, name: string, input: string, shape: readonly number[]): string {
  const { TF_FLOAT, TF_INT32 } = backend().binding;
  return graph.add(name, 'Reshape', [input, graph.integers(`${name}/shape`, shape)], {
    T: attribute.type(TF_FLOAT),
    Tshape: attribute.type(TF_INT32),
  });
}

/** Cuts a flat vector into tensors of the given shapes; `rest` numbers at its end are left. */
export function splitVector(
  graph: GraphDefinition,
  name: string,
  vector: string,
  pieces: readonly VectorPiece[],
  rest = 0,
): string[] {
  const { TF_FLOAT, TF_INT32 } = backend().binding;
  const sizes = [...pieces.map(({ size }) => size), ...(rest > 0 ? [rest] : [])];
  const split = graph.add(
    name,
    'SplitV',
    [vector, graph.integers(`${name}/sizes`, sizes), graph.integer(`${name}/axis`, 0)],
    {
      T: attribute.type(TF_FLOAT),
      Tlen: attribute.type(TF_INT32),
      num_split: attribute.integer(sizes.length),
    },
  );
  return pieces.map(({ shape }, index) => reshape(graph, `${name}/piece${index}`, `${split}:${index}`, shape));
}

/** Flat vectors one after the other. */
export function joinVector(graph: GraphDefinition, name: string, pieces: readonly string[]): string {
  const { TF_FLOAT, TF_INT32 } = backend().binding;
  if (pieces.length === 1) return graph.add(name, 'Identity', pieces, { T: attribute.type(TF_FLOAT) });
  return graph.add(name, 'ConcatV2', [...pieces, graph.integer(`${name}/axis`, 0)], {
    N: attribute.integer(pieces.length),
    T: attribute.type(TF_FLOAT),
    Tidx: attribute.type(TF_INT32),
  });
}

/** A node that can be fetched and waits for others that cannot. */
export function addDone(graph: GraphDefinition, name: string, waitFor: readonly string[]): string {
  const one = graph.float(`${name}/one`, [1], []);
  return graph.add(name, 'Identity', [one, ...waitFor.map((node) => `^${node}`)], {
    T: attribute.type(backend().binding.TF_FLOAT),
  });
}
