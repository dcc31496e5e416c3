import type { ServerDuplexStream } from '@grpc/grpc-js';
import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import type { CoordinatorMessage } from '../../../lib/wire/generated/stillhouse/v1/CoordinatorMessage.ts';
import type { WorkerMessage__Output } from '../../../lib/wire/generated/stillhouse/v1/WorkerMessage.ts';
import { RpcServer } from '../../../lib/wire/grpc.ts';
import { type AttendOptions, attend, type RunTask, type TaskContext } from '../../../lib/wire/worker-session.ts';
import { testLogger } from '../../helpers/logger.ts';

type Stream = ServerDuplexStream<WorkerMessage__Output, CoordinatorMessage>;

/** A real server of Workers whose streams the test plays by hand. */
async function startWorkers() {
  const server = new RpcServer(testLogger());
  const streams: Stream[] = [];
  const waiting: ((stream: Stream) => void)[] = [];
  server.add('Workers', {
    Attend: (call, { signal }) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve());
        call.once('close', resolve);
        const next = waiting.shift();
        if (next) next(call);
        else streams.push(call);
      }),
  });
  const address = `127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
  const accept = () => {
    const ready = streams.shift();
    return ready ? Promise.resolve(ready) : new Promise<Stream>((resolve) => waiting.push(resolve));
  };
  return { server, address, accept };
}

function receive(stream: Stream): Promise<WorkerMessage__Output> {
  return new Promise((resolve) => {
    stream.once('data', (message) => {
      stream.pause();
      resolve(message);
    });
    stream.resume();
  });
}

async function withSession(
  runTask: RunTask,
  body: (workers: Awaited<ReturnType<typeof startWorkers>>) => Promise<void>,
  options: Partial<AttendOptions> = {},
): Promise<void> {
  const workers = await startWorkers();
  const controller = new AbortController();
  const session = attend({
    coordinator: workers.address,
    hello: { workerId: 'student-1', role: 'student', address: '', pid: 42, engineFingerprint: 'x' },
    logger: testLogger(),
    signal: controller.signal,
    runTask,
    ...options,
  });
  try {
    await body(workers);
  } finally {
    controller.abort();
    await session;
    await workers.server.stop(0);
  }
}

const start = (taskId: string, leaderEpoch = 5): CoordinatorMessage => ({
  leaderEpoch,
  start: { taskId, jobId: 'job', trainTeacher: { teacher: 'teacher' } },
});

test('a task hears who serves it, also what has come before it listened; others are not heard', async (t) => {
  const heard: string[][] = [];
  let started: (context: TaskContext) => void = () => {};
  const running = new Promise<TaskContext>((resolve) => {
    started = resolve;
  });
  const runTask: RunTask = async (_, context) => {
    started(context);
    await context.begun;
    return {};
  };
  await withSession(runTask, async ({ accept }) => {
    const stream = await accept();
    await receive(stream);
    stream.write(start('one'));
    const teachers = (...ids: string[]) =>
      ids.map((workerId) => ({ workerId, address: `${workerId}:1`, teacher: 'big' }));
    stream.write({ leaderEpoch: 5, teachers: { taskId: 'one', teachers: teachers('a') } });
    stream.write({ leaderEpoch: 5, teachers: { taskId: 'one', teachers: teachers('a', 'b') } });
    stream.write({ leaderEpoch: 5, teachers: { taskId: 'none', teachers: teachers('c') } });
    const { ready, onTeachers, signal } = await running;
    stream.write({ leaderEpoch: 5, start: { taskId: 'later', serveModels: { models: [] } } });
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    onTeachers((list) => heard.push(list.map(({ workerId }) => workerId)));
    ready({ parameters: 0, stepsTotal: 0 });
  });
  t.deepEqual(heard, [['a', 'b']]);
});

test('a worker that drains says so, on a new stream too, and goes on with its task', async (t) => {
  const draining = new AbortController();
  const runTask: RunTask = async (_, { ready, begun, signal }) => {
    ready({ parameters: 0, stepsTotal: 0 });
    await begun;
    t.false(signal.aborted);
    return { modelDigest: 'sha256:x' };
  };
  await withSession(
    runTask,
    async ({ accept }) => {
      const stream = await accept();
      await receive(stream);
      stream.write(start('one'));
      t.truthy((await receive(stream)).ready);
      draining.abort();
      t.truthy((await receive(stream)).draining);
      stream.write({ leaderEpoch: 5, begin: { taskId: 'one' } });
      t.is((await receive(stream)).done?.modelDigest, 'sha256:x');
      stream.end();
      const next = await accept();
      t.truthy((await receive(next)).hello);
      t.truthy((await receive(next)).draining);
    },
    { draining: draining.signal },
  );
});

test('hello, welcome, ready, begin, progress, done', async (t) => {
  const runTask: RunTask = async (task, context) => {
    t.is(task.trainTeacher?.teacher, 'teacher');
    t.is(context.leaderEpoch, 5);
    context.ready({ parameters: 10, stepsTotal: 3 });
    await context.begun;
    for (let step = 1; step <= 3; step++) context.progress({ step, loss: 1 / step });
    return { modelDigest: 'sha256:x', correct: 1, evaluatedImages: 2 };
  };
  await withSession(runTask, async ({ accept }) => {
    const stream = await accept();
    t.like((await receive(stream)).hello, { workerId: 'student-1', role: 'student', pid: 42 });
    stream.write({ leaderEpoch: 5, welcome: {} });
    stream.write(start('one'));
    t.like((await receive(stream)).ready, { taskId: 'one', parameters: 10, stepsTotal: 3 });
    stream.write({ leaderEpoch: 5, begin: { taskId: 'one' } });
    t.like((await receive(stream)).progress, { taskId: 'one', step: 1 });
    const { done } = await receive(stream);
    t.like(done, { taskId: 'one', modelDigest: 'sha256:x', correct: 1, evaluatedImages: 2 });
    t.like(done?.last, { taskId: 'one', step: 3 });
  });
});

test('a rejected task is told with code, message and field; the next one runs', async (t) => {
  const runTask: RunTask = async (task) => {
    if (task.taskId === 'two') return {};
    throw new StillhouseError('FAILED_PRECONDITION', 'no such data set', { field: 'data.dataset', hint: 'fetch it' });
  };
  await withSession(runTask, async ({ accept }) => {
    const stream = await accept();
    await receive(stream);
    stream.write(start('one'));
    t.like((await receive(stream)).failed, {
      taskId: 'one',
      code: 'FAILED_PRECONDITION',
      message: 'no such data set (fetch it)',
      field: 'data.dataset',
    });
    stream.write(start('two'));
    t.like((await receive(stream)).done, { taskId: 'two' });
  });
});

test('a cancelled task is aborted without an answer; a new start waits until the old one has settled', async (t) => {
  const events: string[] = [];
  const runTask: RunTask = async ({ taskId }, { signal, begun, ready }) => {
    events.push(`start ${taskId}`);
    ready({ parameters: 0, stepsTotal: 0 });
    if (taskId === 'three') return {};
    await t.throwsAsync(begun, { code: 'CANCELLED' });
    t.true(signal.aborted);
    await new Promise((resolve) => setImmediate(resolve));
    events.push(`end ${taskId}`);
    return {};
  };
  await withSession(runTask, async ({ accept }) => {
    const stream = await accept();
    await receive(stream);
    stream.write(start('one'));
    t.is((await receive(stream)).ready?.taskId, 'one');
    stream.write({ leaderEpoch: 5, cancel: { taskId: 'one' } });
    stream.write(start('two'));
    t.is((await receive(stream)).ready?.taskId, 'two');
    stream.write(start('three'));
    t.is((await receive(stream)).ready?.taskId, 'three');
    t.is((await receive(stream)).done?.taskId, 'three');
  });
  t.deepEqual(events, ['start one', 'end one', 'start two', 'end two', 'start three']);
});

test('a cancelled task that does not end ends the session, so that the process can be started anew', async (t) => {
  const { server, address, accept } = await startWorkers();
  const told: StillhouseError[] = [];
  const session = attend({
    coordinator: address,
    hello: { workerId: 'student-1', role: 'student', address: '', pid: 42, engineFingerprint: 'x' },
    logger: testLogger(),
    signal: new AbortController().signal,
    runTask: async (_task, { ready }) => {
      ready({ parameters: 0, stepsTotal: 0 });
      return await new Promise(() => {});
    },
    stuckAfterMs: 50,
    onStuck: (error) => told.push(error),
  });
  const stream = await accept();
  await receive(stream);
  stream.write(start('one'));
  await receive(stream);
  stream.write({ leaderEpoch: 5, cancel: { taskId: 'one' } });
  const error = await t.throwsAsync(session, { message: 'task one did not end within 0.05 s of being cancelled' });
  t.like(error, { code: 'INTERNAL' });
  t.deepEqual(told, [error]);
  await server.stop(0);
});

test('a lost stream aborts the task; the worker attaches again', async (t) => {
  let aborted = false;
  const runTask: RunTask = async (_task, { signal, ready }) => {
    ready({ parameters: 1, stepsTotal: 1 });
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    aborted = true;
    return {};
  };
  await withSession(runTask, async ({ accept }) => {
    const first = await accept();
    await receive(first);
    first.write(start('one'));
    await receive(first);
    first.end();
    const second = await accept();
    t.is((await receive(second)).hello?.workerId, 'student-1');
    t.true(aborted);
  });
});

test('a lower leader epoch is refused, and the stream given up', async (t) => {
  const started: string[] = [];
  const runTask: RunTask = async ({ taskId }) => {
    started.push(taskId);
    return {};
  };
  await withSession(runTask, async ({ accept }) => {
    const first = await accept();
    await receive(first);
    first.write({ leaderEpoch: 7, welcome: {} });
    first.write(start('old', 6));
    const second = await accept();
    await receive(second);
    second.write(start('new', 7));
    t.is((await receive(second)).done?.taskId, 'new');
  });
  t.deepEqual(started, ['new']);
});

test('a Hello that is refused as invalid ends the session with that error', async (t) => {
  const server = new RpcServer(testLogger());
  server.add('Workers', {
    Attend: async () => {
      throw new StillhouseError('INVALID_ARGUMENT', 'no such role', { field: 'role' });
    },
  });
  const coordinator = `127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
  const session = attend({
    coordinator,
    hello: { workerId: 'x', role: 'y' },
    logger: testLogger(),
    signal: new AbortController().signal,
    runTask: async () => ({}),
  });
  t.like(await t.throwsAsync(session), { code: 'INVALID_ARGUMENT', field: 'role' });
  await server.stop(0);
});
