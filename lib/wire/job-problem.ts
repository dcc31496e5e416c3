/** What is wrong at one place of a job file. */
import type { PathSegment } from './job-source.ts';

export interface Problem {
  readonly path: readonly PathSegment[];
  /** The sentence after the path, without the place. */
  readonly text: string;
}

const SHOWN_CHARACTERS = 60;

/** A value as messages quote it. */
export function show(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (value === null) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`;
}
