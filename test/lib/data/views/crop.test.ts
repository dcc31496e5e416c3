import { readFileSync } from 'node:fs';
import test from 'ava';
import { type Box, cropBox, enlarge } from '../../../../lib/data/views/crop.ts';
import { type CropSpec, NO_VIEWS } from '../../../../lib/data/views/rule.ts';
import { between, forCases } from '../../../helpers/property.ts';

type Side = keyof Box;

/** scripts/goldens/views.py makes them. */
const golden = JSON.parse(readFileSync(new URL('../../../goldens/views.json', import.meta.url), 'utf8')) as {
  height: number;
  width: number;
  pixels: number[];
  crops: { box: Box; pixels: number[] }[];
  draws: number;
  boxes: ({ size: { width: number; height: number }; crop: CropSpec } & Record<Side, { mean: number; std: number }>)[];
};

const image = { height: golden.height, width: golden.width, channels: 3 };

for (const { box, pixels } of golden.crops) {
  test(`a part is enlarged as torchvision does it, antialiased: ${Object.values(box).join(' ')}`, (t) => {
    const got = Float32Array.from(golden.pixels);
    enlarge(got, image, box);
    for (const [value, expected] of pixels.entries()) {
      t.true(Math.abs((got[value] as number) - expected) < 1e-3, `value ${value}: ${got[value]} for ${expected}`);
    }
  });
}

for (const { size, crop, ...moments } of golden.boxes) {
  test(`parts of ${size.width} x ${size.height}, area ${crop.scale}, are drawn as torchvision draws them`, (t) => {
    const rule = { ...NO_VIEWS, seed: 2026, number: 3, crop };
    const boxes = Array.from({ length: golden.draws }, (_, id) => cropBox(id, rule, size) as Box);
    for (const side of ['left', 'top', 'width', 'height'] as const) {
      const { mean, std } = moments[side];
      const own = momentsOf(boxes.map((box) => box[side]));
      // Five standard errors of a difference of two means.
      const tolerance = 1e-9 + 5 * std * Math.sqrt(2 / golden.draws);
      t.true(Math.abs(own.mean - mean) <= tolerance, `${side}: mean ${own.mean} for ${mean}`);
      t.true(Math.abs(own.std - std) <= tolerance, `${side}: deviation ${own.std} for ${std}`);
    }
  });
}

function momentsOf(values: readonly number[]): { mean: number; std: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, std: Math.sqrt(variance) };
}

test('a part lies within its image, whatever its size and the rule', (t) =>
  forCases(t, 200, (random) => {
    const size = { width: between(random, 1, 300), height: between(random, 1, 300) };
    const scale = [0.001 + 0.5 * random.nextFloat(), 0.6 + 0.4 * random.nextFloat()] as const;
    const ratio = [Math.exp(-5 * random.nextFloat()), Math.exp(5 * random.nextFloat())] as const;
    const rule = { ...NO_VIEWS, seed: random.nextUint32(), number: 0, crop: { scale, ratio } };
    for (let id = 0; id < 20; id++) {
      const box = cropBox(id, rule, size) as Box;
      t.true(box.left >= 0 && box.top >= 0 && box.width > 0 && box.height > 0);
      t.true(box.left + box.width <= size.width && box.top + box.height <= size.height);
    }
  }));
