/**
 * `npm run bench -- teacher`: what distilling costs a student beside training without a teacher, student and teacher on one core
 * each; what a stream of logits costs by itself; what logits lose in each encoding. The student's ways to its logits take turns in
 * one process, and each is held against the training alone of the same round.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { percent, table } from '../../cli/text.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { dataRoot } from '../../lib/base/folders.ts';
import { availableCores } from '../../lib/base/machine.ts';
import type { Environment } from '../../lib/base/settings.ts';
import { median } from '../report.ts';
import { modelOf } from '../step/cases.ts';
import { stepFlops } from '../step/flops.ts';
import { Peer } from '../step/peer.ts';
import {
  ARM_TITLES,
  ARMS,
  type Arm,
  BARS,
  benchJob,
  MICRO_BATCH,
  PAIRS,
  type Pair,
  STREAM_BAR,
  STREAM_BATCH,
  STREAM_STEPS,
} from './cases.ts';
import { benchEncodings } from './encodings.ts';
import type { AskAnswer, ServeAnswer, Served, StudentRequest, TeacherRequest, TurnAnswer, Usage } from './protocol.ts';

export const TEACHER_CASES: readonly string[] = ['distil', 'stream', 'encodings'];

export interface TeacherBenchOptions {
  /** Only these of `TEACHER_CASES`; none for all. */
  readonly cases: readonly string[];
  /** Where data sets are. */
  readonly environment: Environment;
}

type Out = (line: string) => void;

const ROUNDS = 8;
const STREAM_TURNS = 7;
const STREAM_TURN_BATCHES = 2_000;
/** The student's and the teacher's. */
const CORES = [0, 1] as const;

/** @returns whether every bar was reached */
export async function benchTeacher({ cases, environment }: TeacherBenchOptions, out: Out): Promise<boolean> {
  const isAsked = (name: string) => cases.length === 0 || cases.includes(name);
  let isReached = true;
  if (isAsked('distil')) {
    for (const pair of PAIRS) isReached = (await withBoth(environment, (both) => distil(both, pair, out))) && isReached;
  }
  if (isAsked('stream')) isReached = (await withBoth(environment, (both) => stream(both, out))) && isReached;
  if (isAsked('encodings')) isReached = (await benchEncodings(out)) && isReached;
  return isReached;
}

class Both {
  readonly #student: Peer;
  readonly #teacher: Peer;
  readonly #folder: string;
  #jobs = 0;

  constructor(student: Peer, teacher: Peer, folder: string) {
    this.#student = student;
    this.#teacher = teacher;
    this.#folder = folder;
  }

  ask<T>(request: StudentRequest): Promise<T> {
    return this.#student.ask(request);
  }

  /** A teacher and a folder of stored logits of its own. */
  async serve(jobJson: string): Promise<Served & { readonly logitsFolder: string }> {
    const jobId = `bench-${++this.#jobs}`;
    const logitsFolder = path.join(this.#folder, jobId);
    const request: TeacherRequest = { call: 'serve', jobId, jobJson, logitsFolder };
    return { jobId, jobJson, logitsFolder, ...(await this.#teacher.ask<ServeAnswer>(request)) };
  }

  async teacherProcessorMs(): Promise<number> {
    return (await this.#teacher.ask<Usage>({ call: 'usage' } satisfies TeacherRequest)).processorMs;
  }
}

/** A fresh process for each side, on a core of its own. */
async function withBoth<T>(environment: Environment, body: (both: Both) => Promise<T>): Promise<T> {
  if (availableCores() < CORES.length) {
    throw new StillhouseError('FAILED_PRECONDITION', 'student and teacher need a core each, and there is only one');
  }
  const folder = await mkdtemp(path.join(tmpdir(), 'stillhouse-bench-'));
  const objects = path.join(folder, 'objects');
  const peers: Peer[] = [];
  const start = async (name: string, core: number) => {
    const script = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
    const command = ['-c', String(core), process.execPath, '--import=tsx', script, dataRoot(environment), objects];
    const peer = await Peer.start(`the ${name}`, 'taskset', command);
    peers.push(peer);
    return peer;
  };
  try {
    const teacher = await start('teacher', CORES[1]);
    return await body(new Both(await start('student', CORES[0]), teacher, folder));
  } finally {
    for (const peer of peers) peer.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Turn extends TurnAnswer {
  readonly totalMs: number;
}

async function distil(both: Both, pair: Pair, out: Out): Promise<boolean> {
  describePair(pair, out);
  for (const arm of ARMS) {
    const jobJson = benchJob({ ...pair, microBatch: MICRO_BATCH, stored: arm === 'replay' || arm === 'cache' });
    const { logitsFolder, ...served } = await both.serve(jobJson);
    await both.ask({ call: 'open', arm, logitsFolder: arm === 'cache' ? logitsFolder : null, ...served });
  }
  const take = async (arm: Arm): Promise<Turn> => {
    const turn = await both.ask<TurnAnswer>({ call: 'turn', arm });
    return { ...turn, totalMs: turn.ms.reduce((sum, ms) => sum + ms, 0) };
  };
  const turns = new Map<Arm, Turn[]>(ARMS.map((arm) => [arm, []]));
  // Once for nothing: what is stored is stored then.
  for (const arm of ARMS) await take(arm);
  for (let round = 0; round < ROUNDS; round++) {
    // Whoever comes first in a round is another one each time.
    for (let at = 0; at < ARMS.length; at++) {
      const arm = ARMS[(round + at) % ARMS.length] as Arm;
      turns.get(arm)?.push(await take(arm));
    }
  }
  await both.ask({ call: 'close' });
  return reportArms(turns, out);
}

function describePair({ student, teacher }: Pair, out: Out): void {
  const model = (net: string) => modelOf({ net, size: 32, classes: 10, batch: MICRO_BATCH });
  const [step, forward] = [stepFlops(model(student)) / 1e6, stepFlops(model(teacher)) / 3e6];
  const parameters = (net: string) => `${(model(net).parameterCount / 1e6).toFixed(2)} M parameters`;
  out(`\nCIFAR-10, batches of ${MICRO_BATCH}, the student on core ${CORES[0]}, the teacher on core ${CORES[1]}`);
  out(`  student ${student}, ${parameters(student)}: ${step.toFixed(1)} MFLOP for an image of a step`);
  out(
    `  teacher ${teacher}, ${parameters(teacher)}: ${forward.toFixed(1)} MFLOP for an image, ${percent(forward / step)} of that`,
  );
}

function reportArms(turns: ReadonlyMap<Arm, readonly Turn[]>, out: Out): boolean {
  const alone = turns.get('alone') as readonly Turn[];
  const perStep = ({ ms, totalMs }: Turn) => totalMs / ms.length;
  const results = ARMS.map((arm) => {
    const own = turns.get(arm) as readonly Turn[];
    const ratios = own.map((turn, round) => perStep(alone[round] as Turn) / perStep(turn)).sort((a, b) => a - b);
    const quartile = (share: number) => percent(ratios[Math.round(share * (ratios.length - 1))] as number);
    const waits = own.map(({ teacherWaitMs, totalMs }) => teacherWaitMs / totalMs);
    const processor = median(own.map(({ processorMs, ms }) => processorMs / ms.length));
    const cells = [
      ARM_TITLES[arm],
      ((1000 * MICRO_BATCH) / median(own.map(perStep))).toFixed(0),
      percent(median(ratios)),
      `${quartile(0.25)} to ${quartile(0.75)}`,
      percent(median(waits)),
      processor.toFixed(2),
    ];
    return { arm, ratio: median(ratios), cells };
  });
  const head = ['', 'images/s', 'of alone', 'middle half of rounds', 'waits for logits', 'processor ms a step'];
  for (const line of table([head, ...results.map(({ cells }) => cells)])) out(`  ${line}`);
  let isReached = true;
  for (const { arm, ratio } of results) {
    const bar = BARS[arm];
    if (bar === undefined) continue;
    out(
      `  ${ratio >= bar ? 'reached' : 'MISSED'}: ${ARM_TITLES[arm]}, ${percent(ratio)} of the speed alone, bar ${percent(bar)}`,
    );
    isReached &&= ratio >= bar;
  }
  return isReached;
}

async function stream(both: Both, out: Out): Promise<boolean> {
  out(`\na stream of stored logits: 10 classes, batches of ${STREAM_BATCH}, a core for each side`);
  const pair = { student: 'simple-cnn', teacher: 'simple-cnn' };
  const jobJson = benchJob({ ...pair, microBatch: STREAM_BATCH, steps: STREAM_STEPS, stored: true });
  const { logitsFolder: _, ...served } = await both.serve(jobJson);
  await both.ask({ call: 'stream', ...served });
  const turns: { wall: number; student: number; teacher: number; bytes: number }[] = [];
  for (let turn = 0; turn <= STREAM_TURNS; turn++) {
    const beforeMs = await both.teacherProcessorMs();
    const { ms, processorMs, samples, bytes } = await both.ask<AskAnswer>({
      call: 'ask',
      batches: STREAM_TURN_BATCHES,
    });
    const teacherMs = (await both.teacherProcessorMs()) - beforeMs;
    const perSecond = (milliseconds: number) => (1000 * samples) / milliseconds;
    const rates = { wall: perSecond(ms), student: perSecond(processorMs), teacher: perSecond(teacherMs) };
    if (turn > 0) turns.push({ ...rates, bytes: bytes / samples });
  }
  await both.ask({ call: 'close' });
  const middle = (of: (turn: (typeof turns)[number]) => number) => median(turns.map(of));
  const [student, teacher] = [middle(({ student }) => student), middle(({ teacher }) => teacher)];
  const rows = [
    ['on the clock', middle(({ wall }) => wall).toFixed(0)],
    ['a second of the student’s core', student.toFixed(0)],
    ['a second of the teacher’s core', teacher.toFixed(0)],
  ];
  for (const line of table([['', 'samples/s'], ...rows])) out(`  ${line}`);
  const reached = Math.min(student, teacher);
  const said = `${reached.toFixed(0)} samples a second of a core, bar ${STREAM_BAR}`;
  out(
    `  ${reached >= STREAM_BAR ? 'reached' : 'MISSED'}: ${said}; ${middle(({ bytes }) => bytes).toFixed(1)} bytes a sample`,
  );
  return reached >= STREAM_BAR;
}
