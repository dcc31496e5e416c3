import test from 'ava';
import { chooseEpoch } from '../../../lib/distill/early-stopping.ts';
import { between, forCases } from '../../helpers/property.ts';

/** Epochs that are trained of a series. */
function trained(accuracies: readonly number[], stopping: { patience: number; minDelta: number }): number {
  const at = accuracies.findIndex((_, index) => chooseEpoch(accuracies.slice(0, index + 1), stopping).stops);
  return at === -1 ? accuracies.length : at + 1;
}

test('the best epoch is the first with the largest share of right answers', (t) => {
  t.deepEqual(chooseEpoch([], null), { bestEpoch: 0, bestAccuracy: 0, stops: false });
  t.deepEqual(chooseEpoch([0.2, 0.7, 0.5, 0.7], null), { bestEpoch: 2, bestAccuracy: 0.7, stops: false });
  t.is(chooseEpoch([0, 0], { patience: 2, minDelta: 0 }).bestEpoch, 1);
});

test('the training ends after as many epochs without getting better as it may be patient', (t) => {
  const series = [0.5, 0.6, 0.6, 0.59, 0.7, 0.7, 0.7, 0.7, 0.9];
  t.is(trained(series, { patience: 1, minDelta: 0 }), 3);
  t.is(trained(series, { patience: 2, minDelta: 0 }), 4);
  t.is(trained(series, { patience: 3, minDelta: 0 }), 8);
  t.is(trained(series, { patience: 4, minDelta: 0 }), 9);
});

test('what counts as better is measured from the last epoch that did, exactly at the least growth too', (t) => {
  // Half a point an epoch is a whole one every other epoch.
  const slow = [0.5, 0.505, 0.51, 0.515, 0.52];
  t.is(trained(slow, { patience: 2, minDelta: 0.01 }), 5);
  t.is(trained(slow, { patience: 1, minDelta: 0.01 }), 2);
  t.is(trained([0.5, 0.6, 0.7], { patience: 1, minDelta: 0.1 }), 3);
  // An epoch that is a little better is kept, and does not make the training longer.
  t.deepEqual(chooseEpoch([0.5, 0.505, 0.504], { patience: 2, minDelta: 0.01 }), {
    bestEpoch: 2,
    bestAccuracy: 0.505,
    stops: true,
  });
});

test('against the same rule written as a loop over what is left to look at', async (t) => {
  await forCases(t, 300, (random) => {
    const images = between(random, 1, 20);
    const series = Array.from({ length: between(random, 1, 12) }, () => random.nextInt(images + 1) / images);
    const patience = between(random, 1, 5);
    const minDelta = random.nextInt(4) / 10;
    let better = 0;
    let epoch = 1;
    while (epoch < series.length && epoch - better <= patience) {
      const growth = (series[epoch] as number) - (series[better] as number);
      if (growth > 0 && growth > minDelta - 1e-9) better = epoch;
      if (epoch - better >= patience) break;
      epoch += 1;
    }
    t.is(trained(series, { patience, minDelta }), Math.min(epoch + 1, series.length));
    const { bestEpoch, bestAccuracy } = chooseEpoch(series, { patience, minDelta });
    t.is(series[bestEpoch - 1], bestAccuracy);
    t.true(series.every((accuracy, index) => accuracy < bestAccuracy || index >= bestEpoch - 1));
    t.true(series.every((accuracy) => accuracy <= bestAccuracy));
  });
});
