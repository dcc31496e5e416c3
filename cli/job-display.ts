/** A job's progress on standard output: bars that are redrawn in place on a terminal, plain lines everywhere else. */
import { createLogUpdate } from 'log-update';
import { every, monotonicMs } from '../lib/base/clock.ts';
import type { Environment } from '../lib/base/settings.ts';
import type { Job } from './coordinator-client.ts';
import { ProgressLines } from './job-view.ts';
import { PhaseRates } from './phase-rates.ts';
import { barLines } from './progress-bars.ts';
import { type BarStyle, clockTime } from './text.ts';

export interface JobDisplay {
  show(job: Job): void;
  /** Lets others write lines to the terminal, above the bars. */
  above(write: () => void): void;
  /** Takes the bars away; what has ended stays. */
  close(): void;
}

export interface DisplayOptions {
  /** Where the bars are drawn, when it is a terminal. */
  readonly stream: NodeJS.WriteStream;
  readonly environment: Environment;
  /** Writes a line to the same place. */
  readonly out: (line: string) => void;
  /** Monotonic milliseconds from which the times in front of lines count. */
  readonly startedMs: number;
}

const LINE_PERIOD_MS = 2_000;
/** Times go on although nothing else changes. */
const REDRAW_PERIOD_MS = 500;
const DEFAULT_COLUMNS = 80;

export function startDisplay(options: DisplayOptions): JobDisplay {
  return isLive(options) ? new Bars(options) : new Lines(options);
}

/** https://no-color.org means colours, yet who sets it reads logs. A dumb terminal cannot move its cursor. */
export function isLive({ stream, environment }: Pick<DisplayOptions, 'stream' | 'environment'>): boolean {
  return stream.isTTY === true && !environment.NO_COLOR && environment.TERM !== 'dumb';
}

/** Block characters unless the locale is known to lack them. */
export function barStyle({ LC_ALL, LC_CTYPE, LANG, TERM }: Environment): BarStyle {
  const locale = LC_ALL || LC_CTYPE || LANG || '';
  const isPlain = TERM === 'linux' || (locale !== '' && !/utf-?8/i.test(locale));
  return isPlain ? { full: '#', empty: '.' } : { full: '█', empty: '░' };
}

class Lines implements JobDisplay {
  readonly #options: DisplayOptions;
  readonly #lines = new ProgressLines(LINE_PERIOD_MS);

  constructor(options: DisplayOptions) {
    this.#options = options;
  }

  show(job: Job): void {
    printLines(this.#lines.next(job, monotonicMs()), this.#options);
  }

  above(write: () => void): void {
    write();
  }

  close(): void {
    // Lines are written as they come.
  }
}

class Bars implements JobDisplay {
  readonly #options: DisplayOptions;
  readonly #style: BarStyle;
  readonly #lines = new ProgressLines(Number.POSITIVE_INFINITY);
  readonly #rates = new PhaseRates();
  readonly #draw: ReturnType<typeof createLogUpdate>;
  readonly #stopRedrawing: () => void;
  #job: Job | undefined;

  constructor(options: DisplayOptions) {
    this.#options = options;
    this.#style = barStyle(options.environment);
    this.#draw = createLogUpdate(options.stream);
    this.#stopRedrawing = every(REDRAW_PERIOD_MS, () => this.#redraw());
  }

  show(job: Job): void {
    const nowMs = monotonicMs();
    this.#job = job;
    this.#rates.observe(job, nowMs);
    const lines = this.#lines.next(job, nowMs);
    if (lines.length === 0) this.#redraw();
    else this.above(() => printLines(lines, this.#options));
  }

  above(write: () => void): void {
    this.#draw.clear();
    write();
    this.#redraw();
  }

  close(): void {
    this.#stopRedrawing();
    this.#draw.clear();
    this.#draw.done();
  }

  #redraw(): void {
    if (this.#job === undefined) return;
    const { stream, startedMs } = this.#options;
    const settings = { columns: stream.columns || DEFAULT_COLUMNS, style: this.#style };
    this.#draw(barLines(this.#job, this.#rates, (monotonicMs() - startedMs) / 1000, settings).join('\n'));
  }
}

function printLines(lines: readonly string[], { out, startedMs }: DisplayOptions): void {
  for (const line of lines) out(`[${clockTime((monotonicMs() - startedMs) / 1000)}] ${line}`);
}
