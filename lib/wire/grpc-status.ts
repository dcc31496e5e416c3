/**
 * Errors on the wire: a StillhouseError becomes a gRPC status at the server's edge and the same error again at the
 * caller's. Field and hint travel in trailing metadata.
 */
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type ErrorCode, StillhouseError } from '../base/errors.ts';

export const FIELD_KEY = 'stillhouse-field';
export const HINT_KEY = 'stillhouse-hint';

const NUMBER_OF_CODE: Readonly<Record<ErrorCode, status>> = {
  INVALID_ARGUMENT: status.INVALID_ARGUMENT,
  NOT_FOUND: status.NOT_FOUND,
  ALREADY_EXISTS: status.ALREADY_EXISTS,
  FAILED_PRECONDITION: status.FAILED_PRECONDITION,
  ABORTED: status.ABORTED,
  RESOURCE_EXHAUSTED: status.RESOURCE_EXHAUSTED,
  UNAVAILABLE: status.UNAVAILABLE,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  CANCELLED: status.CANCELLED,
  UNIMPLEMENTED: status.UNIMPLEMENTED,
  DATA_LOSS: status.DATA_LOSS,
  INTERNAL: status.INTERNAL,
};

const CODE_OF_NUMBER = new Map<number, ErrorCode>(
  Object.entries(NUMBER_OF_CODE).map(([code, number]) => [number, code as ErrorCode]),
);
// Codes that we never send but proxies and other servers may.
CODE_OF_NUMBER.set(status.OUT_OF_RANGE, 'INVALID_ARGUMENT');
CODE_OF_NUMBER.set(status.PERMISSION_DENIED, 'FAILED_PRECONDITION');
CODE_OF_NUMBER.set(status.UNAUTHENTICATED, 'FAILED_PRECONDITION');

/** A canonical code by its number on the wire. */
export function codeOfStatus(number: number): ErrorCode {
  return CODE_OF_NUMBER.get(number) ?? 'INTERNAL';
}

/** A canonical code by its name, as TaskFailed carries it. */
export function codeOfName(name: string): ErrorCode {
  return Object.hasOwn(NUMBER_OF_CODE, name) ? (name as ErrorCode) : 'INTERNAL';
}

/** Metadata values are printable ASCII; the rest is percent-encoded, as gRPC does with its own status message. */
function encodeText(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]/gu, (character) =>
    [...new TextEncoder().encode(character)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
  );
}

function decodeText(metadata: Metadata | undefined, key: string): string | undefined {
  const value = metadata?.get(key)[0];
  if (value === undefined) return undefined;
  const text = value.toString();
  // A value that some other server wrote need not be well encoded: then it is taken as it is.
  return /%(?![0-9a-fA-F]{2})/.test(text) ? text : new TextDecoder().decode(percentDecoded(text));
}

function percentDecoded(text: string): Uint8Array {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '%') {
      bytes.push(Number.parseInt(text.slice(at + 1, at + 3), 16));
      at += 2;
    } else {
      bytes.push(text.charCodeAt(at));
    }
  }
  return Uint8Array.from(bytes);
}

export interface Status {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/** The status that a handler's error is answered with. */
export function toStatus(thrown: unknown): Status {
  const error = StillhouseError.from(thrown);
  const metadata = new Metadata();
  if (error.field !== undefined) metadata.set(FIELD_KEY, encodeText(error.field));
  if (error.hint !== undefined) metadata.set(HINT_KEY, encodeText(error.hint));
  return { code: NUMBER_OF_CODE[error.code], details: error.message, metadata };
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && 'code' in thrown && 'details' in thrown && typeof thrown.code === 'number';
}

/** What grpc-js says when the connection failed, as opposed to what a server answered. */
const CONNECTION_FAILURE =
  /^(No connection established|Connection dropped|Name resolution failed|Failed to connect|read |write )/;

/**
 * The error that a call failed with, as the server threw it. `peer` names the other side where no connection came about,
 * e.g. `the coordinator at 127.0.0.1:4000`.
 */
export function fromStatus(thrown: unknown, peer?: string): StillhouseError {
  if (!isServiceError(thrown)) return StillhouseError.from(thrown, peer);
  const code = codeOfStatus(thrown.code);
  if (code === 'UNAVAILABLE' && peer !== undefined && CONNECTION_FAILURE.test(thrown.details)) {
    return new StillhouseError('UNAVAILABLE', `${peer} cannot be reached: ${thrown.details}`, {
      hint: 'check that it runs and that the address is right',
      cause: thrown,
    });
  }
  const field = decodeText(thrown.metadata, FIELD_KEY);
  const hint = decodeText(thrown.metadata, HINT_KEY);
  return new StillhouseError(code, thrown.details, {
    ...(field === undefined ? {} : { field }),
    ...(hint === undefined ? {} : { hint }),
    cause: thrown,
  });
}
