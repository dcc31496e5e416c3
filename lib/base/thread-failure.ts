/** Errors on their way from one thread to another, which cannot hand over objects of a class. */
import { type ErrorCode, StillhouseError } from './errors.ts';

/** An error as data. */
export interface ThreadFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly field: string | undefined;
  readonly hint: string | undefined;
  /** Where it was thrown. */
  readonly stack: string | undefined;
}

/** @param doing what the thread was at, for errors that are not ours */
export function failureOf(thrown: unknown, doing: string): ThreadFailure {
  const { code, message, field, hint, stack } = StillhouseError.from(thrown, doing);
  return { code, message, field, hint, stack };
}

/** The error again; its cause is where it was thrown. */
export function errorOf({ code, message, field, hint, stack }: ThreadFailure): StillhouseError {
  const place = { ...(field === undefined ? {} : { field }), ...(hint === undefined ? {} : { hint }) };
  return new StillhouseError(code, message, { ...place, cause: stack });
}
