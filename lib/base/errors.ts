/**
 * The one error class of the project. Errors carry data (code, field, hint), not only text, so that an edge (CLI, gRPC,
 * REST) can render them without parsing messages.
 */

/** What went wrong, in the vocabulary of gRPC's canonical codes: edges map it one to one. */
export type ErrorCode =
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'RESOURCE_EXHAUSTED'
  | 'UNAVAILABLE'
  | 'DEADLINE_EXCEEDED'
  | 'CANCELLED'
  | 'UNIMPLEMENTED'
  | 'DATA_LOSS'
  | 'INTERNAL';

export interface ErrorDetails {
  /** The field, file, tensor or setting at fault, as the user knows it, e.g. `students[0].classes`. */
  readonly field?: string;
  /** What the user can do about it, one sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
}

export class StillhouseError extends Error {
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'StillhouseError';
    this.code = code;
    this.field = details.field;
    this.hint = details.hint;
  }

  /** Normalises anything thrown. Call it once, at the edge where an unknown error enters. */
  static from(thrown: unknown, context?: string): StillhouseError {
    if (thrown instanceof StillhouseError) return thrown;
    const text = thrown instanceof Error ? thrown.message : String(thrown);
    return new StillhouseError('INTERNAL', context === undefined ? text : `${context}: ${text}`, { cause: thrown });
  }
}

/** One line for people: message, then the hint. */
export function describeError(thrown: unknown): string {
  const error = StillhouseError.from(thrown);
  return error.hint === undefined ? error.message : `${error.message} (${error.hint})`;
}

/** Fails loudly on a broken invariant of our own; never for bad input. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new StillhouseError('INTERNAL', `invariant broken: ${message}`);
}
