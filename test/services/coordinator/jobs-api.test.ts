import { EventEmitter, getEventListeners } from 'node:events';
import test from 'ava';
import { drained } from '../../../services/coordinator/jobs-api.ts';

test('waiting for a slow reader leaves no listener behind', async (t) => {
  const stream = new EventEmitter();
  const controller = new AbortController();
  const listeners = () => [stream.listenerCount('drain'), getEventListeners(controller.signal, 'abort').length];
  for (let times = 0; times < 3; times++) {
    const waiting = drained(stream, controller.signal);
    t.deepEqual(listeners(), [1, 1]);
    stream.emit('drain');
    await waiting;
    t.deepEqual(listeners(), [0, 0]);
  }
  const waiting = drained(stream, controller.signal);
  controller.abort();
  await waiting;
  await drained(stream, controller.signal);
  t.deepEqual(listeners(), [0, 0]);
});
