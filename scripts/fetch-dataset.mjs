/**
 * Gets the files of a data set into the cache: fetch-dataset.mjs NAME [FOLDER], the folder with the user's own copy of them, which
 * is taken whatever the cache has. Its answer is {"folder"} on standard output; when nothing has to be got it says nothing else.
 */
import { provideSource, sourceFolder } from './setup/datasets.mjs';
import { describeSetupError, exitCodeOf, SetupError } from './setup/errors.mjs';
import { FASHION_MNIST, MNIST } from './setup/pins.mjs';
import { setupContext } from './setup/run-setup.mjs';
import { listenForStop } from './setup/signals.mjs';

const SETS = [MNIST, FASHION_MNIST];

async function fetchDataset([name, from], signal) {
  const set = SETS.find((candidate) => candidate.name === name);
  if (set === undefined) {
    throw new SetupError(`there is no data set ${name} to fetch`, { hint: SETS.map((known) => known.name).join(', ') });
  }
  const context = { ...setupContext(), signal, from };
  await provideSource(context.cache, context, set);
  console.log(JSON.stringify({ folder: sourceFolder(context.cache, set) }));
}

const stop = listenForStop();
try {
  await fetchDataset(process.argv.slice(2), stop.signal);
} catch (error) {
  console.error(`stillhouse: ${describeSetupError(error)}`);
  process.exitCode = exitCodeOf(error);
} finally {
  stop.dispose();
}
