import test from 'ava';
import { createRandom, hashName } from '../../../lib/base/random.ts';
import { conv2d, depthwiseConv2d } from '../../../lib/engine/convolution.ts';
import { GraphDefinition } from '../../../lib/engine/graph-definition.ts';
import { biasAdd, relu } from '../../../lib/engine/kernels.ts';
import type { Window } from '../../../lib/engine/op-attributes.ts';
import { averagePool, globalAveragePool, maxPool } from '../../../lib/engine/pooling.ts';
import { Session } from '../../../lib/engine/session.ts';
import { backend, type Tensor, tf } from '../../../lib/engine/tf.ts';
import { traceInto } from '../../../lib/engine/trace.ts';

type Image = Float64Array;
type Shape = readonly [number, number, number, number];

/** Windows over height and width, place by place: calls `visit` with the places that lie inside the image. */
function eachPlace(
  [batch, height, width]: Shape,
  size: number,
  { stride, padding }: Window,
  visit: (out: number, at: readonly [number, number, number] | null, tap: number) => void,
): [number, number] {
  const side = (length: number) =>
    padding === 'same' ? Math.ceil(length / stride) : Math.floor((length + 2 * padding - size) / stride) + 1;
  // TensorFlow's rule: what is needed in total, the smaller half first.
  const before = (length: number) =>
    padding === 'same' ? Math.floor(Math.max((side(length) - 1) * stride + size - length, 0) / 2) : padding;
  const [rows, columns] = [side(height), side(width)];
  for (let image = 0; image < batch; image++) {
    for (let place = 0; place < rows * columns; place++) {
      for (let tap = 0; tap < size * size; tap++) {
        const row = Math.floor(place / columns) * stride + Math.floor(tap / size) - before(height);
        const column = (place % columns) * stride + (tap % size) - before(width);
        const isInside = row >= 0 && row < height && column >= 0 && column < width;
        visit(image * rows * columns + place, isInside ? [image, row, column] : null, tap);
      }
    }
  }
  return [rows, columns];
}

function random(title: string, length: number): Image {
  const source = createRandom(hashName(title), length);
  return Float64Array.from({ length }, () => Math.fround(source.nextNormal()));
}

function near(actual: Tensor, expected: ArrayLike<number>): boolean {
  const values = actual.dataSync();
  return (
    values.length === expected.length &&
    values.every((value, i) => Math.abs(value - (expected[i] as number)) < 1e-4 + 1e-5 * Math.abs(value))
  );
}

const tensorOf = (values: Image, shape: readonly number[]) => tf.tensor(Float32Array.from(values), [...shape]);

/** The directional derivative of Σ weight · f along a random direction, by central differences of the dumb f. */
function slope(f: (x: Image) => Image, x: Image, direction: Image, weights: Image): number {
  const step = 1e-4;
  const moved = (sign: number) => f(x.map((value, i) => value + sign * step * (direction[i] as number)));
  const [up, down] = [moved(1), moved(-1)];
  return up.reduce((sum, value, i) => sum + ((value - (down[i] as number)) / (2 * step)) * (weights[i] as number), 0);
}

const dot = (a: ArrayLike<number>, b: Image) => b.reduce((sum, value, i) => sum + value * (a[i] as number), 0);

const windows: (Window & { size: number })[] = [
  { size: 3, stride: 1, padding: 1 },
  { size: 3, stride: 2, padding: 1 },
  { size: 1, stride: 2, padding: 0 },
  { size: 7, stride: 2, padding: 3 },
  { size: 3, stride: 1, padding: 0 },
  { size: 5, stride: 2, padding: 'same' },
  { size: 3, stride: 2, padding: 'same' },
];

/** Images on which every tap counts, and such on which some only ever meet padding. */
const SIZES = [
  [9, 8],
  [1, 1],
  [2, 2],
  [1, 4],
] as const;

function cases({ size, padding }: Window & { size: number }) {
  const fits = SIZES.filter((sides) => padding === 'same' || sides.every((side) => side + 2 * padding >= size));
  return (['conv2d', 'depthwise-conv2d'] as const).flatMap((kind) => fits.map((sides) => [kind, sides] as const));
}

for (const window of windows) {
  const name = `${window.size}x${window.size}, stride ${window.stride}, padding ${window.padding}`;

  for (const [kind, [height, width]] of cases(window)) {
    test(`${kind} ${name} at ${height}x${width} is the sum over its window, and its gradients are that sum's`, (t) => {
      const shape: Shape = [2, height, width, 3];
      const filters = kind === 'conv2d' ? 4 : 1;
      const outputs = kind === 'conv2d' ? 4 : 3;
      const taps = window.size ** 2;
      const compute = (x: Image, filter: Image): Image => {
        const y: number[] = [];
        eachPlace(shape, window.size, window, (out, at, tap) => {
          for (let f = 0; f < outputs; f++) {
            const index = out * outputs + f;
            y[index] ??= 0;
            if (at === null) continue;
            const pixel = ((at[0] * shape[1] + at[1]) * shape[2] + at[2]) * 3;
            for (const c of kind === 'conv2d' ? [0, 1, 2] : [f]) {
              const weight = kind === 'conv2d' ? (tap * 3 + c) * 4 + f : tap * 3 + c;
              y[index] += (x[pixel + c] as number) * (filter[weight] as number);
            }
          }
        });
        return Float64Array.from(y);
      };
      const x = random(`${t.title} x`, 2 * height * width * 3);
      const filter = random(`${t.title} filter`, taps * 3 * filters);
      const y = compute(x, filter);
      const convolve = kind === 'conv2d' ? conv2d : depthwiseConv2d;
      const inputs = [tensorOf(x, shape), tensorOf(filter, [window.size, window.size, 3, filters])];
      t.true(near(convolve(inputs[0] as Tensor, inputs[1] as Tensor, window), y), 'value');
      const weights = random(`${t.title} dy`, y.length);
      const [dx, dfilter] = tf.grads((a: Tensor, b: Tensor) => convolve(a, b, window))(
        inputs,
        tensorOf(weights, convolve(inputs[0] as Tensor, inputs[1] as Tensor, window).shape),
      ) as [Tensor, Tensor];
      const along = random(`${t.title} along`, x.length);
      const alongFilter = random(`${t.title} along filter`, filter.length);
      const expected = slope((moved) => compute(moved, filter), x, along, weights);
      t.true(Math.abs(dot(dx.dataSync(), along) - expected) < 1e-3, 'gradient of x');
      const expectedFilter = slope((moved) => compute(x, moved), filter, alongFilter, weights);
      t.true(Math.abs(dot(dfilter.dataSync(), alongFilter) - expectedFilter) < 1e-3, 'gradient of the filter');
    });
  }
}

const pools = [
  { size: 2, stride: 2, padding: 0 },
  { size: 3, stride: 2, padding: 1 },
  { size: 3, stride: 1, padding: 1 },
];

for (const pool of pools) {
  for (const kind of ['max-pool', 'average-pool'] as const) {
    test(`${kind} ${pool.size}, stride ${pool.stride}, padding ${pool.padding} takes its window's value`, (t) => {
      const shape: Shape = [2, 7, 8, 3];
      const compute = (x: Image): Image => {
        const y: number[] = [];
        eachPlace(shape, pool.size, pool, (out, at) => {
          for (let c = 0; c < 3; c++) {
            const index = out * 3 + c;
            y[index] ??= kind === 'max-pool' ? Number.NEGATIVE_INFINITY : 0;
            const value = at === null ? 0 : (x[((at[0] * shape[1] + at[1]) * shape[2] + at[2]) * 3 + c] as number);
            if (kind === 'average-pool') y[index] += value / pool.size ** 2;
            else if (at !== null) y[index] = Math.max(y[index] as number, value);
          }
        });
        return Float64Array.from(y);
      };
      // All negative, so that a padded zero would win.
      const x = random(t.title, 2 * 7 * 8 * 3).map((value) => value - 10);
      const y = compute(x);
      const apply = (input: Tensor) => (kind === 'max-pool' ? maxPool : averagePool)(input, pool);
      const input = tensorOf(x, shape);
      t.true(near(apply(input), y), 'value');
      const weights = random(`${t.title} dy`, y.length);
      const dx = tf.grad(apply)(input, tensorOf(weights, apply(input).shape));
      const along = random(`${t.title} along`, x.length);
      t.true(Math.abs(dot(dx.dataSync(), along) - slope(compute, x, along, weights)) < 1e-3, 'gradient');
    });
  }
}

test('the global average pool is the mean over all places, and its gradient the equal share', (t) => {
  const x = tensorOf(random(t.title, 2 * 3 * 4 * 5), [2, 3, 4, 5]);
  t.true(near(globalAveragePool(x), tf.mean(x, [1, 2]).dataSync()));
  const dy = tensorOf(random(`${t.title} dy`, 10), [2, 5]);
  const shares = tf.tile(tf.reshape(tf.div(dy, 12), [2, 1, 1, 5]), [1, 3, 4, 1]);
  t.true(near(tf.grad(globalAveragePool)(x, dy), shares.dataSync()));
});

test('a graph computes the same with padding on every kind of window, gradients too', (t) => {
  const value = (x: Tensor, filter: Tensor, depthwise: Tensor): Tensor => {
    const y = conv2d(x, filter, { stride: 2, padding: 3 });
    const x2 = maxPool(y, { size: 3, stride: 2, padding: 1 });
    // TensorFlow fuses a bias into the convolution before it.
    const z = relu(biasAdd(depthwiseConv2d(x2, depthwise, { stride: 2, padding: 1 }), tf.ones([4])));
    return globalAveragePool(averagePool(z, { size: 3, stride: 1, padding: 1 }));
  };
  const shapes = [
    [2, 24, 20, 3],
    [7, 7, 3, 4],
    [3, 3, 4, 1],
  ];
  const compute = (inputs: Tensor[]) => {
    const { value: sum, grads } = tf.valueAndGrads((...args: Tensor[]) =>
      tf.sum(tf.square(value(...(args as [Tensor, Tensor, Tensor])))),
    )(inputs);
    return tf.concat([sum, ...grads].map((tensor) => tf.reshape(tensor, [tensor.size])));
  };
  const graph = new GraphDefinition();
  const inputs = shapes.map((shape, index) => ({
    tensor: tf.ones(shape),
    node: graph.placeholder(`x${index}`, backend().binding.TF_FLOAT, shape),
  }));
  const [output] = traceInto(graph, 'f', inputs, () => [compute(inputs.map(({ tensor }) => tensor))]);
  const session = new Session(graph);
  const [x0, x1, x2] = shapes.map((shape, index) =>
    tensorOf(
      random(
        `${t.title} ${index}`,
        shape.reduce((a, b) => a * b),
      ),
      shape,
    ),
  ) as [Tensor, Tensor, Tensor];
  t.true(near(compute([x0, x1, x2]), session.read({ x0, x1, x2 }, output as string)));
  session.close();
});
