/**
 * What users could do about students that wait for logits, and about teachers that idle, from how long the ones wait and how long
 * the others compute. Pure.
 *
 * Time is looked at in windows. Of one, w is the largest share that a student waited for logits, and b the teachers' computing time
 * over the window's: so many teacher-workers were busy. Without waiting, students would ask for 1 / (1 − w) times as much.
 */

/** Counters that only grow, and how many teacher-workers answer now. */
export interface AdviceSample {
  /** Monotonic. */
  readonly nowMs: number;
  readonly teachers: number;
  /** Milliseconds that each student-worker waited for logits. */
  readonly waitMs: readonly number[];
  /** Milliseconds that all teachers together computed. */
  readonly computeMs: number;
  /** By all teachers together. */
  readonly batchesAnswered: number;
  /** That students have trained on. */
  readonly samples: number;
}

/** `slow`: teachers cannot answer more. `idle`: they could, and students wait all the same. `many`: fewer would do. */
type Finding = 'fine' | 'slow' | 'idle' | 'many' | 'none';

interface Verdict {
  readonly finding: Finding;
  /** Teacher-workers with which students would not wait. */
  readonly wanted: number;
  /** For people; empty if there is nothing to do. */
  readonly advice: string;
}

export interface AdviceState {
  /** Where the current window began. */
  readonly begun: AdviceSample | undefined;
  /** Whether a window with these students and teachers has ended: in the first one they load and compile, and wait for that. */
  readonly isWarm: boolean;
  /** What the window before has found, if that is news. */
  readonly pending: Verdict | undefined;
  /** What users are told; undefined until it is known. */
  readonly shown: Verdict | undefined;
}

export const NO_ADVICE: AdviceState = { begun: undefined, isWarm: false, pending: undefined, shown: undefined };

const WINDOW_MS = 2_000;
/** Fewer answers tell nothing of how many teachers can give. */
const ANSWERS_MIN = 4;
/** Students that wait for a larger share of their time are helped; then, until it is below the lower. */
const WAITS_FROM = 0.1;
const WAITS_UNTIL = 0.05;
/** Of their time that teachers compute: from this on they are the reason. */
const BUSY_FROM = 0.7;
/** Teachers that are taken away leave the others this busy at most. */
const BUSY_AFTER = 0.8;
/** What a measurement is off by: 2.1 teachers' work is done by two. */
const SLACK = 0.1;
const WAIT_SHARE_MAX = 0.95;
/** One measurement never asks for more than so many times the teachers that are there. */
const GROWTH_MAX = 8;

/** Answers the same state while there is nothing new. News counts once two windows after each other agree on it. */
export function advise(state: AdviceState, sample: AdviceSample): AdviceState {
  if (sample.teachers === 0) return state.shown?.finding === 'none' ? state : withoutTeachers(state);
  const { begun } = state;
  const isOther =
    begun === undefined || begun.teachers !== sample.teachers || begun.waitMs.length !== sample.waitMs.length;
  if (isOther || state.shown?.finding === 'none') {
    const shown = state.shown?.finding === 'none' ? undefined : state.shown;
    return { begun: sample, isWarm: false, pending: undefined, shown };
  }
  const isWaiting = state.shown?.finding === 'slow' || state.shown?.finding === 'idle';
  const waitsFrom = isWaiting ? WAITS_UNTIL : WAITS_FROM;
  // A student that waits says so when it goes on: a window in which nothing went on tells nothing yet.
  if (sample.nowMs - begun.nowMs < WINDOW_MS || sample.samples === begun.samples) return state;
  if (waitShare(begun, sample) >= waitsFrom && !isMeasured(begun, sample)) return state;
  if (!state.isWarm) return { ...state, begun: sample, isWarm: true };
  return adopt(state, sample, judge(begun, sample, waitsFrom));
}

/** Whether it is known how fast teachers answer. */
function isMeasured(begun: AdviceSample, sample: AdviceSample): boolean {
  return sample.batchesAnswered - begun.batchesAnswered >= ANSWERS_MIN && sample.computeMs > begun.computeMs;
}

/** Largest share of the window for which a student waited. */
function waitShare(begun: AdviceSample, sample: AdviceSample): number {
  const elapsedMs = sample.nowMs - begun.nowMs;
  const waits = sample.waitMs.map((waitMs, at) => (waitMs - (begun.waitMs[at] ?? 0)) / elapsedMs);
  return Math.min(Math.max(0, ...waits), WAIT_SHARE_MAX);
}

function withoutTeachers({ shown }: AdviceState): AdviceState {
  const wanted = Math.max(1, shown?.wanted ?? 1);
  const advice = `no teacher-worker answers the students: start ${wanted === 1 ? 'one' : wanted}`;
  return { begun: undefined, isWarm: false, pending: undefined, shown: { finding: 'none', wanted, advice } };
}

function judge(begun: AdviceSample, sample: AdviceSample, waitsFrom: number): Verdict {
  const elapsedMs = sample.nowMs - begun.nowMs;
  const waited = waitShare(begun, sample);
  const busy = Math.max(0, sample.computeMs - begun.computeMs) / elapsedMs;
  const { teachers } = sample;
  const work = busy / (1 - waited);
  const use = `${percent(Math.min(1, busy / teachers))} busy`;
  if (waited < waitsFrom) {
    const wanted = Math.max(1, Math.ceil(work / BUSY_AFTER));
    if (wanted >= teachers) return { finding: 'fine', wanted: teachers, advice: '' };
    const advice = `students do not wait and the teachers are ${use}: ${wanted} of ${teachers} teacher-workers would do`;
    return { finding: 'many', wanted, advice };
  }
  const waiting = `students wait for logits for ${percent(waited)} of their time`;
  if (busy < BUSY_FROM * teachers) {
    const advice = `${waiting}, but the teachers are only ${use}: more of them would not help; see whether the network is slow, or students and teachers share processors`;
    return { finding: 'idle', wanted: teachers, advice };
  }
  const wanted = Math.min(Math.max(teachers + 1, Math.ceil(work - SLACK)), GROWTH_MAX * teachers);
  const more = wanted - teachers;
  return {
    finding: 'slow',
    wanted,
    advice: `${waiting} and the teachers are ${use}: add ${more} teacher-worker${more === 1 ? '' : 's'}`,
  };
}

function adopt({ isWarm, pending, shown }: AdviceState, begun: AdviceSample, verdict: Verdict): AdviceState {
  if (shown?.finding === verdict.finding && shown.wanted === verdict.wanted) {
    return { begun, isWarm, pending: undefined, shown };
  }
  const isAgreed = pending?.finding === verdict.finding && side(pending, shown) === side(verdict, shown);
  return { begun, isWarm, pending: isAgreed ? undefined : verdict, shown: isAgreed ? verdict : shown };
}

/** Whether it asks for more or fewer than is shown. */
function side({ wanted }: Verdict, shown: Verdict | undefined): number {
  return shown === undefined ? 0 : Math.sign(wanted - shown.wanted);
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
