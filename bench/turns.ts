/** Several processes at the same work in turns, so that whatever else the machine does hits all of them; medians count. */
import { describeError, StillhouseError } from '../lib/base/errors.ts';
import { median } from './report.ts';
import { modelOf } from './step/cases.ts';
import type { Peer } from './step/peer.ts';
import type { StepCase } from './step/protocol.ts';

/** Time that a runner gets per turn, and the turns of a case. */
const TURN_MS = 1_000;
const TURNS = 8;

export interface TurnRunner {
  readonly label: string;
  readonly mode: string;
  readonly peer: Peer;
}

export interface Measured<Runner extends TurnRunner> {
  readonly runner: Runner;
  /** Of a step, or of a batch. */
  readonly medianMs: number;
}

/** Opens the case everywhere, then lets the runners take turns. A runner that cannot is left out with its reason. */
export async function takeTurns<Runner extends TurnRunner>(
  stepCase: StepCase,
  runners: readonly Runner[],
  out: (line: string) => void,
): Promise<Measured<Runner>[]> {
  const { net, size, batch, classes } = stepCase;
  out(`\n${net} at ${size}x${size}, batch ${batch}, ${classes} classes`);
  const times = new Map<Runner, number[]>();
  const stepsPerTurn = new Map<Runner, number>();
  for (const runner of runners) {
    try {
      await openSame(runner, stepCase);
      const warm = median(await runner.peer.run(4));
      stepsPerTurn.set(runner, Math.max(2, Math.round(TURN_MS / warm)));
      times.set(runner, []);
    } catch (error) {
      out(`  ${runner.label} is left out: ${describeError(error)}`);
    }
  }
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [runner, samples] of times) samples.push(...(await runner.peer.run(stepsPerTurn.get(runner) as number)));
  }
  return [...times].map(([runner, samples]) => ({ runner, medianMs: median(samples) }));
}

/** @throws FAILED_PRECONDITION when the runner's model has not as many parameters as ours: times would say nothing */
async function openSame({ label, mode, peer }: TurnRunner, stepCase: StepCase): Promise<void> {
  const { parameters } = await peer.open(stepCase, mode);
  const { parameterCount } = modelOf(stepCase);
  if (parameters === parameterCount) return;
  const message = `${label} has built another model: ${parameters} parameters, expected ${parameterCount}`;
  throw new StillhouseError('FAILED_PRECONDITION', message);
}
