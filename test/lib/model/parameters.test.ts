import test from 'ava';
import {
  describeModel,
  exportTensors,
  importTensors,
  initialParameters,
  initialStatistics,
} from '../../../lib/model/parameters.ts';
import { architectureNamed, architectureNames } from '../../../lib/model/zoo.ts';
import { sameValues } from '../../helpers/same-values.ts';

const IMAGE = { height: 32, width: 32, channels: 3 };

test('an unknown architecture is refused with the known names', (t) => {
  const error = t.throws(() => architectureNamed('resnet-9'));
  t.regex(error.message, /resnet-9.*simple-cnn.*resnet-8/);
});

test('tensors leave in the layout of PyTorch and come back unchanged', (t) => {
  for (const name of architectureNames.filter((name) => !/-(18|34|50|32x4)$/.test(name))) {
    const model = describeModel(architectureNamed(name), IMAGE, 10);
    const parameters = initialParameters(model, 7);
    const statistics = initialStatistics(model).map((value, index) => value + index);
    const tensors = exportTensors(model, parameters, statistics);
    const back = importTensors(model, tensors);
    t.true(sameValues(back.parameters, parameters) && sameValues(back.statistics, statistics), name);
  }
});

test('convolutions are [out, in, h, w] and a flattened linear reads channels first outside', (t) => {
  const model = describeModel(architectureNamed('simple-cnn'), IMAGE, 5);
  const parameters = Float32Array.from({ length: model.parameterCount }, (_, index) => index);
  const tensors = exportTensors(model, parameters, new Float32Array(0));
  const conv = tensors.get('conv1.weight');
  t.deepEqual(conv?.shape, [32, 3, 3, 3]);
  // Inside [h, w, in, out]: element (h=2, w=1, in=2, out=30).
  const inside = ((2 * 3 + 1) * 3 + 2) * 32 + 30;
  t.is(conv?.values[((30 * 3 + 2) * 3 + 2) * 3 + 1], inside);
  const linear = tensors.get('fc1.weight');
  t.deepEqual(linear?.shape, [5, 8192]);
  // Inside row (h=3, w=9, c=17), column 4; outside column (c, h, w).
  const start = 3 * 3 * 3 * 32 + 32;
  t.is(linear?.values[4 * 8192 + (17 * 16 + 3) * 16 + 9], start + ((3 * 16 + 9) * 32 + 17) * 5 + 4);
});

test('tensors that do not fit are refused by name', (t) => {
  const model = describeModel(architectureNamed('simple-cnn'), IMAGE, 5);
  const good = exportTensors(model, initialParameters(model, 1), new Float32Array(0));
  const changed = (change: (tensors: Map<string, { shape: readonly number[]; values: Float32Array }>) => void) => {
    const tensors = new Map(good);
    change(tensors);
    return () => importTensors(model, tensors);
  };
  const bias = { shape: [5], values: Float32Array.of(0, 0, Number.NaN, 0, 0) };
  t.regex(t.throws(changed((tensors) => tensors.delete('fc1.bias'))).message, /fc1\.bias is missing/);
  t.regex(t.throws(changed((tensors) => tensors.set('fc2.bias', bias))).message, /fc2\.bias is not one/);
  t.regex(t.throws(changed((tensors) => tensors.set('fc1.bias', bias))).message, /fc1\.bias holds NaN/);
  const wide = { shape: [6], values: new Float32Array(6) };
  t.regex(
    t.throws(changed((tensors) => tensors.set('fc1.bias', wide))).message,
    /fc1\.bias has shape \[6\], expected \[5\]/,
  );
});

test('initial weights depend on the seed and on nothing else', (t) => {
  const model = describeModel(architectureNamed('simple-cnn'), IMAGE, 5);
  t.true(sameValues(initialParameters(model, 3), initialParameters(model, 3)));
  t.false(sameValues(initialParameters(model, 3), initialParameters(model, 4)));
  const bound = 1 / Math.sqrt(27);
  const conv = initialParameters(model, 3).subarray(0, 27 * 32);
  t.true(conv.every((value) => Math.abs(value) <= bound));
  t.true(conv.some((value) => Math.abs(value) > 0.9 * bound));
});
