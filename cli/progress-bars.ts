/** A running job as bars. Pure. */
import type { Job } from './coordinator-client.ts';
import { phaseName, progressParts, stateName } from './job-view.ts';
import type { PhaseRates } from './phase-rates.ts';
import { type BarStyle, bar, clockTime } from './text.ts';

export interface BarSettings {
  /** Of the terminal. */
  readonly columns: number;
  readonly style: BarStyle;
}

/** A name, a bar unless there is nothing to measure, and what is said beside it. */
interface Row {
  readonly name: string;
  readonly share?: number;
  readonly beside: readonly string[];
}

/** A few widths only: as figures grow by a digit the bars shall not move. */
const BAR_WIDTHS = [30, 20, 10] as const;
const GAP = '  ';

/** One bar per running phase and one for the whole job, no line wider than the terminal. @param elapsedSeconds of the run */
export function barLines(job: Job, rates: PhaseRates, elapsedSeconds: number, settings: BarSettings): string[] {
  const inOneLine = [...phaseRows(job, rates, false), ...jobRows(job, elapsedSeconds)];
  const fits = widthThatFits(inOneLine, settings) !== undefined;
  const rows = fits ? inOneLine : [...phaseRows(job, rates, true), ...jobRows(job, elapsedSeconds)];
  const nameWidth = Math.max(...rows.map(({ name }) => name.length));
  const width = widthThatFits(rows, settings) ?? BAR_WIDTHS[BAR_WIDTHS.length - 1];
  return rows.map(({ name, share, beside }) => {
    const bars = share === undefined ? [] : [bar(share, width ?? 0, settings.style)];
    // The last column stays free: some terminals wrap a line that fills it.
    return [name.padEnd(nameWidth), ...bars, ...beside].join(GAP).slice(0, settings.columns - 1);
  });
}

/** @param split whether speeds, loss and accuracy go to a line of their own */
function phaseRows({ phases }: Job, rates: PhaseRates, split: boolean): Row[] {
  return [...phases.entries()].flatMap(([index, phase]): Row[] => {
    if (stateName(phase.state) !== 'running') return [];
    const name = phaseName(phase);
    const parts = progressParts(phase, rates.of(index));
    if (parts === undefined) return [{ name, beside: ['running'] }];
    const { counts, speeds, quality, rest } = parts;
    const share = phase.step / phase.stepsTotal;
    if (!split) return [{ name, share, beside: [...counts, ...speeds, ...quality, ...rest] }];
    return [
      { name, share, beside: [...counts, ...rest] },
      { name: '', beside: [...speeds, ...quality] },
    ];
  });
}

/** Every phase counts alike: how long they will take is not known. */
function jobRows({ phases }: Job, elapsedSeconds: number): Row[] {
  if (phases.length === 0) return [];
  const done = phases.filter(({ state }) => stateName(state) === 'done').length;
  const running = phases
    .filter(({ state, stepsTotal }) => stateName(state) === 'running' && stepsTotal > 0)
    .reduce((sum, { step, stepsTotal }) => sum + step / stepsTotal, 0);
  const beside = [`${done} of ${phases.length} phases, ${clockTime(elapsedSeconds)}`];
  return [{ name: 'whole job', share: (done + running) / phases.length, beside }];
}

/** The widest bars with which all rows fit, if any do. */
function widthThatFits(rows: readonly Row[], { columns }: BarSettings): number | undefined {
  const nameWidth = Math.max(...rows.map(({ name }) => name.length));
  return BAR_WIDTHS.find((width) =>
    rows.every(({ share, beside }) => {
      const others = [' '.repeat(nameWidth), ...(share === undefined ? [] : [' '.repeat(width)]), ...beside];
      return others.join(GAP).length < columns;
    }),
  );
}
