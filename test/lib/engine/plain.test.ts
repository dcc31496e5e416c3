import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';

/** This process is on a machine that lacks what the binding loads. */
const dlopen = process.dlopen as (...args: unknown[]) => void;
process.dlopen = (...args: unknown[]) => {
  const isBinding = String(args[1]).endsWith('tfjs_binding.node');
  if (isBinding) throw new Error('libtensorflow_cc.so.2: cannot open shared object file: No such file\n    at …');
  return dlopen(...args);
};

/** As a process with this `STILLHOUSE_ENGINE` loads it; the query makes it another module than the others. */
function loadEngine(choice: string): Promise<typeof import('../../../lib/engine/tf.ts')> {
  process.env.STILLHOUSE_ENGINE = choice;
  return import(`../../../lib/engine/tf.ts?${choice}`);
}

test.serial('without a binding that loads, native is refused with the reason', async (t) => {
  const error = (await t.throwsAsync(loadEngine('native'))) as StillhouseError;
  t.is(error.code, 'FAILED_PRECONDITION');
  t.is(
    error.message,
    'STILLHOUSE_ENGINE is native, but the native binding of TensorFlow cannot be loaded: ' +
      'libtensorflow_cc.so.2: cannot open shared object file: No such file',
  );
});

test.serial('auto falls back to plain TensorFlow.js and knows why; plain asks for no reason', async (t) => {
  const { engineInUse, tf, backend, nativeBackend } = await loadEngine('auto');
  t.like(engineInUse, { kind: 'plain' });
  t.regex((engineInUse as { reason: string }).reason, /^the native binding .*: libtensorflow_cc\.so\.2: cannot open/);
  t.is(tf.getBackend(), 'cpu');
  t.throws(nativeBackend, { instanceOf: StillhouseError, message: /only TensorFlow's library has graphs/ });
  t.throws(() => backend().executeSingleOutput('NoSuchOp', [], []), { message: /NoSuchOp/ });
  const plain = await loadEngine('plain');
  t.deepEqual(plain.engineInUse, { kind: 'plain', reason: 'STILLHOUSE_ENGINE is plain' });
  await t.throwsAsync(loadEngine('fast'), {
    message: /STILLHOUSE_ENGINE is "fast", expected one of auto, native, plain/,
  });
});

test.serial('random numbers are bit for bit those that TensorFlow draws', async (t) => {
  process.env.STILLHOUSE_ENGINE = 'plain';
  const { tf } = await import('../../../lib/engine/tf.ts');
  const { randomUniform, withRandomKey } = await import('../../../lib/engine/random.ts');
  // StatelessRandomUniform of TensorFlow 2.21.
  const drawn: [number, number, number[]][] = [
    [1, 2, [0.8440604209899902, 0.19204533100128174, 0.9962232112884521, 0.16038739681243896, 0.27199018001556396]],
    [-5, 7, [0.04674673080444336, 0.2690720558166504, 0.6340388059616089, 0.6937028169631958, 0.9859296083450317]],
    [
      2 ** 31 - 1,
      -(2 ** 31),
      [0.029565095901489258, 0.8815397024154663, 0.09603333473205566, 0.36908483505249023, 0.05799567699432373],
    ],
  ];
  for (const [first, second, expected] of drawn) {
    const key = tf.tensor1d([first, second], 'int32');
    const values = withRandomKey(key, () => randomUniform([1, 5])).dataSync();
    t.deepEqual([...values], expected);
  }
});
