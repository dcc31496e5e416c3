/** Numbers, times, paths, bars and tables as people read them. */
import { isAbsolute, relative, resolve } from 'node:path';

/** `0:07`, `12:30`, `1:02:03`. */
export function clockTime(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  const tail = String(whole % 60).padStart(2, '0');
  if (minutes < 60) return `${minutes}:${tail}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}:${tail}`;
}

/** `61.3 %` of 0..1; `-` when nothing was evaluated. */
export function percent(share: number | null): string {
  return share === null ? '-' : `${(100 * share).toFixed(1)} %`;
}

/** A difference of two shares in percentage points, `+13.4`; `-` when there is none. */
export function points(difference: number | null): string {
  if (difference === null) return '-';
  return `${difference < 0 ? '' : '+'}${(100 * difference).toFixed(1)}`;
}

/** 1234567 as `1,234,567`. */
export function grouped(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Two digits where a whole number would say too little: `0.42`, `7.5`, `1,234`. */
export function rate(perSecond: number): string {
  if (perSecond >= 100) return grouped(perSecond);
  return perSecond.toFixed(perSecond >= 1 ? 1 : 2);
}

/** How many times as much, `6.3x`; `-` when it is not known. */
export function times(factor: number | null): string {
  return factor === null ? '-' : `${rate(factor)}x`;
}

/** 2180864 as `2.2 MB`: powers of a thousand, as disks and networks count; `-` when it is not known. */
export function byteSize(bytes: number | null): string {
  if (bytes === null) return '-';
  const units = ['B', 'kB', 'MB', 'GB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${power === 0 ? bytes : (bytes / 1000 ** power).toFixed(1)} ${units[power]}`;
}

/** The two halves of a bar. */
export interface BarStyle {
  readonly full: string;
  readonly empty: string;
}

/** @param share 0..1 */
export function bar(share: number, width: number, { full, empty }: BarStyle): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * width);
  return full.repeat(filled) + empty.repeat(width - filled);
}

/** Columns padded to the widest cell; numbers (cells that start with a digit) to the right. The first row is the head. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const numeric = widths.map((_, column) => rows.slice(1).every((row) => /^[-+\d]/.test(row[column] ?? '')));
  return rows.map((row) =>
    row
      .map((cell, column) => (numeric[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

/** A path as one would type it here: from the current folder when it is in it. */
export function shownPath(path: string): string {
  const shown = relative('', path);
  if (shown === '') return '.';
  return shown.startsWith('..') || isAbsolute(shown) ? resolve(path) : shown;
}

/** `1 teacher`, `2 teachers`. */
export function counted(count: number, noun: string, nouns = `${noun}s`): string {
  return `${grouped(count)} ${count === 1 ? noun : nouns}`;
}
