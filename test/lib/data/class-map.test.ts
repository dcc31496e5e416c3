import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { labelWithin, resolveClasses, restrictToClasses } from '../../../lib/data/class-map.ts';
import { forCases } from '../../helpers/property.ts';

const names = ['airplane', 'automobile', 'bird', 'cat', 'deer'];

test('classes are found by name and by number, in the order asked for', (t) => {
  const { classIds, classNames } = resolveClasses(['deer', 0, 'cat'], names, 'students[0].classes');
  t.deepEqual(classIds, Int32Array.of(4, 0, 3));
  t.deepEqual(classNames, ['deer', 'airplane', 'cat']);
});

test('unknown, repeated and missing classes are refused with their place', (t) => {
  const cases: [(string | number)[], string][] = [
    [['cat', 'zebra'], 'students[0].classes[1]'],
    [[5], 'students[0].classes[0]'],
    [[-1], 'students[0].classes[0]'],
    [[0.5], 'students[0].classes[0]'],
    [['3'], 'students[0].classes[0]'],
    [['cat', 0, 3], 'students[0].classes[2]'],
    [[], 'students[0].classes'],
  ];
  for (const [classes, field] of cases) {
    const error = t.throws(() => resolveClasses(classes, names, 'students[0].classes'), {
      instanceOf: StillhouseError,
    });
    t.is(error?.code, 'INVALID_ARGUMENT');
    t.is(error?.field, field);
  }
});

test('restricted samples have remapped labels that name the same class', (t) =>
  forCases(t, 50, (random) => {
    const labels = Uint8Array.from({ length: 200 }, () => random.nextInt(names.length));
    const ids = Uint32Array.from({ length: 120 }, () => random.nextInt(200));
    const { classIds, classNames } = resolveClasses(['deer', 'airplane', 'bird'], names, 'classes');
    const kept = restrictToClasses(ids, labels, classIds);
    t.deepEqual(
      [...kept],
      [...ids].filter((id) => [4, 0, 2].includes(labels[id] as number)),
    );
    const remapped = Int32Array.from(kept, labelWithin(labels, classIds));
    t.deepEqual(
      Array.from(remapped, (label) => classNames[label]),
      Array.from(kept, (id) => names[labels[id] as number]),
    );
  }));

test('a label outside the subset is never remapped silently', (t) => {
  const error = t.throws(() => [0, 1].map(labelWithin(Uint8Array.of(0, 1), [0])), { instanceOf: StillhouseError });
  t.is(error?.code, 'INTERNAL');
});

test('with a dustbin, samples of other classes have the label behind the last', (t) => {
  const labelOf = labelWithin([0, 1, 2, 3, 2], [2, 0], true);
  t.deepEqual([0, 1, 2, 3, 4].map(labelOf), [1, 2, 0, 2, 0]);
});
