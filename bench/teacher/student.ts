/** The student's process: a student-worker's training, its ways to logits in turns. Arguments: as the teacher's. */
import { monotonicMs } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { createFolderStore } from '../../lib/checkpoint/store.ts';
import { openDataset } from '../../lib/data/open-dataset.ts';
import { prepareTraining } from '../../lib/distill/training-loop.ts';
import { jobSpecFromJson } from '../../lib/wire/job-file.ts';
import { type ModelPlan, planStudent } from '../../lib/wire/job-plan.ts';
import { openTraining, type Training } from '../../lib/wire/trainer.ts';
import { openStudentLogits, type StudentLogits } from '../../services/student-worker/student-logits.ts';
import { answerLines, logger, processorMs, startCompute } from './answer-lines.ts';
import { type Arm, STREAM_BATCH, STREAM_STEPS, STUDENT, TEACHER } from './cases.ts';
import type { AskAnswer, Served, StudentRequest, TurnAnswer } from './protocol.ts';

const [root, objectsFolder] = process.argv.slice(2) as [string, string];
const WORKER_ID = 'bench-student';
/** Of a turn: those whose logits were asked for before it, and a few more. */
const UNTIMED_STEPS = 8;

const compute = startCompute();
const objects = createFolderStore(objectsFolder);
const dataset = await openDataset(root, 'cifar10', { verifyContent: false });
const ending = new AbortController();
const { signal } = ending;

async function planOf(jobJson: string, control: boolean): Promise<ModelPlan> {
  return planStudent(jobSpecFromJson(jobJson), dataset, STUDENT, control, { init: null, answers: null });
}

function openLogits(
  { jobId, jobJson, modelDigest, address }: Served,
  plan: ModelPlan,
  logitsFolder: string | null,
): Promise<StudentLogits> {
  const taught = { teacher: TEACHER, modelDigest };
  const command = {
    student: STUDENT,
    control: false,
    view: { number: 1, members: [{ workerId: WORKER_ID, firstLane: 0, lanes: 1 }] },
    teachers: [{ workerId: 'bench-teacher', address, ...taught }],
    labelsDigest: '',
    taughtBy: [taught],
  };
  const job = jobSpecFromJson(jobJson);
  return openStudentLogits(
    {
      ...{ job, jobId, workerId: WORKER_ID, view: 1, command, plan, dataset, objects, logitsFolder, logger },
      onTeachers: () => undefined,
      onTrouble: () => undefined,
    },
    signal,
  );
}

/** A training that goes on for an epoch whenever it is its turn. */
class Trainer {
  readonly #logits: StudentLogits | null;
  readonly #run: Promise<void>;
  #commits: TimedCommit[] = [];
  #goOn: () => void = () => undefined;
  #ended: () => void = () => undefined;

  static async open(request: Served & { readonly arm: Arm; readonly logitsFolder: string | null }): Promise<Trainer> {
    const isAlone = request.arm === 'alone';
    const plan = await planOf(request.jobJson, isAlone);
    const training = await openTraining(compute, plan, dataset);
    return new Trainer(plan, training, isAlone ? null : await openLogits(request, plan, request.logitsFolder));
  }

  private constructor(plan: ModelPlan, { program, images }: Training, logits: StudentLogits | null) {
    this.#logits = logits;
    this.#run = this.#paused().then(async () => {
      const train = await prepareTraining({
        ...{ program, images, plan: plan.training, firstLane: 0, lanes: 1, averager: null, teacher: logits, signal },
        onCommit: ({ teacherWaitMs }) =>
          this.#commits.push({ teacherWaitMs, atMs: monotonicMs(), processorMs: processorMs() }),
        onEpoch: () => this.#paused(),
      });
      await train();
    });
    // Told to whoever waits for a turn.
    this.#run.catch(() => undefined);
  }

  /** One epoch, of which the first steps are not timed. */
  async turn(): Promise<TurnAnswer> {
    this.#commits = [];
    const ended = new Promise<void>((resolve) => {
      this.#ended = resolve;
    });
    this.#goOn();
    await Promise.race([ended, this.#run]);
    const timed = this.#commits.slice(UNTIMED_STEPS);
    const [first, last] = [timed[0], timed.at(-1)] as [TimedCommit, TimedCommit];
    return {
      ms: timed.slice(1).map(({ atMs }, index) => atMs - (timed[index] as TimedCommit).atMs),
      processorMs: last.processorMs - first.processorMs,
      teacherWaitMs: timed.slice(1).reduce((sum, { teacherWaitMs }) => sum + teacherWaitMs, 0),
      cachedSamples: this.#logits?.counters.cachedSamples ?? 0,
    };
  }

  close(): void {
    this.#logits?.close();
  }

  /** Until the next turn. */
  #paused(): Promise<undefined> {
    this.#ended();
    return new Promise((resolve) => {
      this.#goOn = () => resolve(undefined);
    });
  }
}

interface TimedCommit {
  readonly teacherWaitMs: number;
  readonly atMs: number;
  readonly processorMs: number;
}

/** A student that does nothing with its logits but ask for more. */
class Asker {
  readonly #logits: StudentLogits;
  readonly #ids: Uint32Array;
  #step = 0;

  static async open(request: Served): Promise<Asker> {
    const plan = await planOf(request.jobJson, false);
    const asker = new Asker(await openLogits(request, plan, null), plan.training.ids);
    await asker.ask(STREAM_STEPS);
    return asker;
  }

  private constructor(logits: StudentLogits, ids: Uint32Array) {
    this.#logits = logits;
    this.#ids = ids;
  }

  async ask(batches: number): Promise<AskAnswer> {
    const { bytesReceived } = this.#logits.counters;
    const startMs = monotonicMs();
    const startProcessorMs = processorMs();
    const coming: Promise<unknown>[] = [];
    for (let batch = 0; batch < batches; batch++) {
      coming.push(this.#next());
      if (coming.length > AHEAD) await coming.shift();
    }
    await Promise.all(coming);
    return {
      ms: monotonicMs() - startMs,
      processorMs: processorMs() - startProcessorMs,
      samples: batches * STREAM_BATCH,
      bytes: this.#logits.counters.bytesReceived - bytesReceived,
    };
  }

  close(): void {
    this.#logits.close();
  }

  async #next(): Promise<void> {
    const step = this.#step++;
    const from = (step % STREAM_STEPS) * STREAM_BATCH;
    const ids = this.#ids.slice(from, from + STREAM_BATCH);
    const { logits } = await this.#logits.logits({ step, lane: 0, ids, partners: null, epoch: 0 });
    if (logits.length === 0) throw new StillhouseError('DATA_LOSS', 'an answer without logits');
    this.#logits.committed?.(step);
  }
}

/** Batches that are under way. */
const AHEAD = 32;

const trainers = new Map<Arm, Trainer>();
let asker: Asker | undefined;

function closeAll(): void {
  for (const trainer of trainers.values()) trainer.close();
  trainers.clear();
  asker?.close();
  asker = undefined;
}

await answerLines(async (request: StudentRequest): Promise<TurnAnswer | AskAnswer | undefined> => {
  switch (request.call) {
    case 'open':
      trainers.set(request.arm, await Trainer.open(request));
      return undefined;
    case 'turn':
      return (trainers.get(request.arm) as Trainer).turn();
    case 'stream':
      asker = await Asker.open(request);
      return undefined;
    case 'ask':
      return asker?.ask(request.batches);
    case 'close':
      closeAll();
      return undefined;
    default:
      return undefined;
  }
});
closeAll();
ending.abort(new StillhouseError('CANCELLED', 'the benchmark has ended'));
await compute.close();
await dataset.close();
