/** How far one piece of work is, on standard error: a bar that is redrawn in place on a terminal, now and then a line elsewhere. */
import { createLogUpdate } from 'log-update';
import { monotonicMs } from '../lib/base/clock.ts';
import type { CliContext } from './context.ts';
import { barStyle, isLive } from './job-display.ts';
import { bar, clockTime, grouped } from './text.ts';

export interface ProgressLine {
  /** @param doing what is being done, e.g. `reading`; the time counts from where it changed */
  show(doing: string, done: number, total: number): void;
  /** Takes the bar away. */
  close(): void;
}

const LIVE_PERIOD_MS = 250;
const LINE_PERIOD_MS = 5_000;
const BAR_WIDTH = 24;

/** @param unit what is counted, in the plural */
export function startProgress({ environment, note }: CliContext, unit: string): ProgressLine {
  const stream = process.stderr;
  const live = isLive({ stream, environment });
  const draw = live ? createLogUpdate(stream) : undefined;
  const style = barStyle(environment);
  let shownMs = monotonicMs();
  let current = { doing: '', sinceMs: shownMs };
  return {
    show: (doing, done, total) => {
      const nowMs = monotonicMs();
      if (doing !== current.doing) current = { doing, sinceMs: nowMs };
      else if (nowMs - shownMs < (live ? LIVE_PERIOD_MS : LINE_PERIOD_MS)) return;
      // Work of a moment says nothing.
      if (!live && nowMs - current.sinceMs < LINE_PERIOD_MS) return;
      shownMs = nowMs;
      const share = total === 0 ? 1 : done / total;
      const figures = `${grouped(done)} of ${grouped(total)} ${unit}${eta(share, (nowMs - current.sinceMs) / 1000)}`;
      if (draw === undefined) note(`${doing}: ${figures}`);
      else draw(`${doing}  ${bar(share, BAR_WIDTH, style)}  ${figures}`);
    },
    close: () => {
      draw?.clear();
      draw?.done();
    },
  };
}

function eta(share: number, elapsedSeconds: number): string {
  if (share === 0 || share >= 1 || elapsedSeconds < 1) return '';
  return `, ETA ${clockTime((elapsedSeconds * (1 - share)) / share)}`;
}
