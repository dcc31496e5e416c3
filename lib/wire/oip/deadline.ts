/** The time limit that a request carries in its own parameters, beside whatever limit its transport has. */
import { after } from '../../base/clock.ts';
import { StillhouseError } from '../../base/errors.ts';
import type { CallScope, InferenceBackend, InferRequest, InferResponse, Parameters } from './types.ts';

/** Longer limits than a day are no limits, and would overflow the timers. */
const TIMEOUT_MAX_MS = 86_400_000;

/**
 * In milliseconds, from the request parameter `timeout` in microseconds; undefined for none.
 * @throws INVALID_ARGUMENT when it is no number or negative.
 */
export function requestTimeoutMs(parameters: Parameters): number | undefined {
  const value = parameters.timeout;
  if (value === undefined) return undefined;
  const timeoutUs = typeof value === 'string' || typeof value === 'boolean' ? Number.NaN : Number(value);
  // Clients send 0 for "no limit of mine".
  if (timeoutUs === 0) return undefined;
  if (timeoutUs > 0) return Math.min(timeoutUs / 1000, TIMEOUT_MAX_MS);
  throw new StillhouseError('INVALID_ARGUMENT', `the parameter timeout is ${value}, expected microseconds`, {
    field: 'timeout',
  });
}

/**
 * Infers within the request's own time limit: the backend's signal is aborted when it is over.
 * @throws DEADLINE_EXCEEDED then, whatever the backend does; otherwise what the backend throws.
 */
export async function inferInTime(
  backend: InferenceBackend,
  request: InferRequest,
  scope: CallScope,
): Promise<InferResponse> {
  const timeoutMs = requestTimeoutMs(request.parameters);
  if (timeoutMs === undefined) return backend.infer(request, scope);
  const controller = new AbortController();
  const signal = AbortSignal.any([scope.signal, controller.signal]);
  const { promise: expired, reject } = promiseParts();
  const disarm = after(timeoutMs, () => {
    const error = new StillhouseError('DEADLINE_EXCEEDED', `the request's own timeout of ${timeoutMs} ms is over`);
    controller.abort(error);
    reject(error);
  });
  try {
    return await Promise.race([backend.infer(request, { signal }), expired]);
  } finally {
    disarm();
  }
}

function promiseParts(): { promise: Promise<never>; reject: (error: Error) => void } {
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<never>((_resolve, rejectPromise) => {
    reject = rejectPromise;
  });
  return { promise, reject };
}
