import { configureEngine } from '../../lib/engine/environment.ts';
import { GraphDefinition } from '../../lib/engine/graph-definition.ts';
import { attributeOf, floatType, shapeTensor, windowAttributes } from '../../lib/engine/op-attributes.ts';
import { Session } from '../../lib/engine/session.ts';
import { backend, type Tensor, tf } from '../../lib/engine/tf.ts';
import { traceInto } from '../../lib/engine/trace.ts';

configureEngine({ intraOpThreads: 2, interOpThreads: 1 });
const B = () => backend().binding;
const conv = (s: number) => [
  ...windowAttributes({ stride: s, padding: 'same' }),
  attributeOf('dilations', B().TF_ATTR_INT, [1, 1, 1, 1]),
  attributeOf('use_cudnn_on_gpu', B().TF_ATTR_BOOL, true),
];
const matmul = (a: Tensor, b: Tensor, ta: boolean, tb: boolean) =>
  backend().executeSingleOutput(
    'MatMul',
    [
      floatType(B()),
      attributeOf('transpose_a', B().TF_ATTR_BOOL, ta),
      attributeOf('transpose_b', B().TF_ATTR_BOOL, tb),
    ],
    [a, b],
  );
const patches = (x: Tensor, k: number) =>
  backend().executeSingleOutput(
    'ExtractImagePatches',
    [
      floatType(B()),
      attributeOf('ksizes', B().TF_ATTR_INT, [1, k, k, 1]),
      attributeOf('strides', B().TF_ATTR_INT, [1, 1, 1, 1]),
      attributeOf('rates', B().TF_ATTR_INT, [1, 1, 1, 1]),
      attributeOf('padding', B().TF_ATTR_STRING, 'SAME'),
    ],
    [x],
  );
const shapes: [number, number, number, number][] = [
  [64, 32, 16, 16],
  [64, 16, 32, 32],
  [64, 8, 64, 64],
  [64, 8, 128, 128],
  [64, 4, 128, 128],
  [64, 4, 256, 256],
  [64, 2, 256, 256],
  [64, 1, 512, 512],
  [8, 56, 64, 64],
  [8, 28, 128, 128],
  [8, 14, 256, 256],
  [8, 7, 512, 512],
  [32, 7, 512, 512],
];
const col = (t: Tensor, w: number) => tf.reshape(t, [t.size / w, w]);
type F = (x: Tensor, w: Tensor, dy: Tensor) => Tensor;
const algs: Record<string, F> = {
  'fwd native ': (x, w) => backend().executeSingleOutput('Conv2D', conv(1), [x, w]),
  'fwd patches': (x, w) => {
    const [k, , ci, co] = w.shape as number[];
    return matmul(col(patches(x, k!), k! * k! * ci!), tf.reshape(w, [k! * k! * ci!, co!]), false, false);
  },
  'dx native  ': (x, w, dy) =>
    backend().executeSingleOutput('Conv2DBackpropInput', conv(1), [shapeTensor(x.shape), w, dy]),
  'dx flipped ': (_x, w, dy) =>
    backend().executeSingleOutput('Conv2D', conv(1), [dy, tf.transpose(tf.reverse(w, [0, 1]), [0, 1, 3, 2])]),
  'dx patches ': (_x, w, dy) => {
    const [k, , ci, co] = w.shape as number[];
    return matmul(
      col(patches(dy, k!), k! * k! * co!),
      tf.reshape(tf.transpose(tf.reverse(w, [0, 1]), [0, 1, 3, 2]), [k! * k! * co!, ci!]),
      false,
      false,
    );
  },
  'dw native  ': (x, w, dy) =>
    backend().executeSingleOutput('Conv2DBackpropFilter', conv(1), [x, shapeTensor(w.shape), dy]),
  'dw patches ': (x, w, dy) => {
    const [k, , ci, co] = w.shape as number[];
    return matmul(col(patches(x, k!), k! * k! * ci!), col(dy, co!), true, false);
  },
};
const only = process.argv[2];
for (const [n, h, ci, co] of shapes) {
  const ts = new Map<string, number[]>();
  const ss: { name: string; run: () => number }[] = [];
  const x = tf.randomNormal([n, h, h, ci]),
    w = tf.randomNormal([3, 3, ci, co]),
    dy = tf.randomNormal([n, h, h, co]);
  for (const [name, f] of Object.entries(algs)) {
    if (only && !name.startsWith(only)) continue;
    const graph = new GraphDefinition();
    const T = B().TF_FLOAT;
    const ins = Object.entries({ x, w, dy }).map(([k, tensor]) => ({
      tensor,
      node: graph.placeholder(k, T, tensor.shape),
    }));
    const [o] = traceInto(graph, 'f', ins, () => {
      const y = f(x, w, dy);
      return [tf.slice(tf.reshape(y, [y.size]), [0], [1])];
    });
    const s = new Session(graph);
    ss.push({
      name,
      run: () => {
        const t = process.hrtime.bigint();
        s.read({ x, w, dy }, o!);
        return Number(process.hrtime.bigint() - t) / 1e6;
      },
    });
    ts.set(name, []);
  }
  for (const s of ss) {
    s.run();
    s.run();
  }
  for (let r = 0; r < 12; r++) for (const s of ss) ts.get(s.name)!.push(s.run());
  console.log(
    [n, h, ci, co].join('x'),
    ((2 * n * h * h * ci * co * 9) / 1e9).toFixed(2),
    'GF |',
    ss
      .map(
        ({ name }) =>
          `${name} ${ts
            .get(name)!
            .sort((a, b) => a - b)[6]!
            .toFixed(2)}`,
      )
      .join(' | '),
  );
}
