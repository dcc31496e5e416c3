/** Ctrl-C, SIGTERM, a closed output and the end of npm as an AbortSignal. */
import { StoppedError } from './errors.mjs';
import { killAllGroups } from './process.mjs';

/** Within this time a further signal is the same wish: npm forwards Ctrl-C to a child that the terminal has told already. */
const SAME_WISH_MS = 1000;

/** From before any waiting: a parent that ends while set-up works must not be taken for the one we began with. */
const PARENT = process.ppid;

/**
 * Listens until `dispose()`. The first signal aborts `signal` with a StoppedError; one that comes later than
 * a second after it kills every child and exits at once. Output that nobody reads any more (`| head`) stops it too.
 *
 * @returns {{signal: AbortSignal, dispose: () => void}}
 */
export function listenForStop() {
  const controller = new AbortController();
  let firstAtMs;
  const onSignal = (name) => {
    if (firstAtMs === undefined) {
      firstAtMs = performance.now();
      controller.abort(new StoppedError(name));
    } else if (performance.now() - firstAtMs > SAME_WISH_MS) {
      killAllGroups('SIGKILL');
      process.exit(new StoppedError(name).exitCode);
    }
  };
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const name of names) process.on(name, onSignal);
  const onOutputError = () => {
    firstAtMs ??= performance.now();
    controller.abort(new StoppedError('SIGPIPE'));
  };
  const outputs = [process.stdout, process.stderr];
  for (const output of outputs) output.on('error', onOutputError);
  const stopWatching = watchParent(() => onSignal('SIGTERM'));
  return {
    signal: controller.signal,
    dispose() {
      stopWatching();
      for (const name of names) process.off(name, onSignal);
      // An error of the last write comes a moment after it.
      setImmediate(() => {
        for (const output of outputs) output.off('error', onOutputError);
      });
    },
  };
}

/**
 * Some shells between npm and us die of a SIGTERM without passing it on; under npm, losing the parent means the same.
 *
 * @param {() => void} onLost called at most once, and at once when it has happened already
 * @returns {() => void} stops watching
 */
export function watchParent(onLost) {
  if (process.env.npm_lifecycle_event === undefined) return () => {};
  if (process.ppid !== PARENT) {
    onLost();
    return () => {};
  }
  const timer = setInterval(() => {
    if (process.ppid === PARENT) return;
    clearInterval(timer);
    onLost();
  }, 500);
  timer.unref();
  return () => clearInterval(timer);
}
