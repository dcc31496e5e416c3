/** Ctrl-C and its relatives: the first one ends the program in order, a later one at once. */
import { constants } from 'node:os';
import { monotonicMs } from '../lib/base/clock.ts';
import { StillhouseError } from '../lib/base/errors.ts';

export interface Interrupts {
  readonly signal: AbortSignal;
  /** 128 + the signal's number once one has come (130 for SIGINT, 143 for SIGTERM). */
  exitCode(): number | undefined;
  /** Ends as SIGTERM would, for a reason that is no signal. */
  interrupt(reason: string): void;
  /** Stops listening. */
  dispose(): void;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** npm and shells forward a Ctrl-C that the terminal has sent already: within this time it is the same one. */
const SAME_INTERRUPT_MS = 1000;

/** @param onHard ends everything at once and synchronously; the process exits right after it. */
export function watchInterrupts(onHard: () => void): Interrupts {
  const controller = new AbortController();
  let firstMs: number | undefined;
  let code: number | undefined;
  const handle = (name: (typeof SIGNALS)[number]) => {
    if (firstMs === undefined) {
      firstMs = monotonicMs();
      code = 128 + constants.signals[name];
      controller.abort(new StillhouseError('CANCELLED', name === 'SIGINT' ? 'Ctrl-C' : name));
    } else if (monotonicMs() - firstMs > SAME_INTERRUPT_MS) {
      onHard();
      process.exit(code);
    }
  };
  const listeners = SIGNALS.map((name) => [name, () => handle(name)] as const);
  for (const [name, listener] of listeners) process.on(name, listener);
  return {
    signal: controller.signal,
    exitCode: () => code,
    interrupt: (reason) => controller.abort(new StillhouseError('CANCELLED', reason)),
    dispose: () => {
      for (const [name, listener] of listeners) process.off(name, listener);
    },
  };
}
