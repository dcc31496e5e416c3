import test from 'ava';
import { architectureNamed } from '../../../lib/model/zoo.ts';
import { type StartingPlace, startingState } from '../../../lib/wire/starting-state.ts';
import { artefactOf, decoded, randomModel } from '../../helpers/random-model.ts';
import { sameValues } from '../../helpers/same-values.ts';

const SEED = 20_261_121;
const images = { height: 32, width: 32, channels: 3 };
const CLASS_NAMES = ['ash', 'beech', 'elm', 'oak'];
const network = { arch: 'resnet-8' };
const place = (classNames: readonly string[]): StartingPlace => ({
  classNames,
  dustbin: false,
  images,
  seed: SEED + 1,
});

const source = randomModel(architectureNamed('resnet-8'), images, CLASS_NAMES.length, SEED);
const init = decoded(artefactOf(source, CLASS_NAMES));
/** Inputs of the classifier, its bias among them. */
const CLASSIFIER_INPUTS = 64 + 1;

test(`the same classes: everything starts as the model has it (seed ${SEED})`, (t) => {
  const { parameters, statistics } = startingState(network, init, place(CLASS_NAMES));
  t.true(sameValues(parameters, source.parameters));
  t.true(sameValues(statistics, source.statistics));
});

for (const { title, classNames } of [
  { title: 'fewer classes', classNames: ['ash', 'beech'] },
  { title: 'as many others', classNames: ['cat', 'dog', 'fox', 'owl'] },
  { title: 'the same in another order', classNames: ['beech', 'ash', 'elm', 'oak'] },
]) {
  test(`${title}: only the classifier starts afresh, from the seed (seed ${SEED})`, (t) => {
    const { model, parameters, statistics } = startingState(network, init, place(classNames));
    const backbone = model.parameterCount - CLASSIFIER_INPUTS * classNames.length;
    t.true(sameValues(parameters.slice(0, backbone), source.parameters.slice(0, backbone)));
    t.true(sameValues(statistics, source.statistics));
    const seeded = startingState(network, null, place(classNames));
    t.true(sameValues(parameters.slice(backbone), seeded.parameters.slice(backbone)));
  });
}

test('a tensor that does not fit is named, with other classes too', (t) => {
  const tensors = new Map(init.tensors).set('conv1.weight', { shape: [16, 3, 1, 1], values: new Float32Array(48) });
  for (const classNames of [CLASS_NAMES, ['ash', 'beech']]) {
    t.throws(() => startingState(network, { ...init, tensors }, place(classNames)), {
      code: 'INVALID_ARGUMENT',
      message: /tensor conv1\.weight has shape \[16,3,1,1\], expected \[16,3,3,3\]/,
    });
  }
});

test('images are scaled as the job says, else as the model that it starts from does', (t) => {
  const wide = decoded(
    artefactOf(
      randomModel(architectureNamed('resnet-8'), { ...images, height: 48, width: 48 }, 4, SEED),
      CLASS_NAMES,
      images,
    ),
  );
  t.is(startingState(network, wide, place(CLASS_NAMES)).model.input.height, 48);
  t.is(startingState({ ...network, inputSize: 40 }, wide, place(CLASS_NAMES)).model.input.width, 40);
  t.is(startingState(network, null, place(CLASS_NAMES)).model.input.width, 32);
});
