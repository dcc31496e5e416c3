/** What a process of ours does in a benchmark: `<script> <threads> [inter-op threads]`, requests on standard input. */
import { createInterface } from 'node:readline';
import { monotonicMs } from '../lib/base/clock.ts';
import { StillhouseError } from '../lib/base/errors.ts';
import { configureEngine } from '../lib/engine/environment.ts';
import { engineFingerprint } from '../lib/engine/fingerprint.ts';
import { tf } from '../lib/engine/tf.ts';
import type { PeerInfo, StepCase, StepRequest } from './step/protocol.ts';

/** What is measured. */
export interface Stepper {
  /** Of the model. */
  readonly parameters: number;
  step(): void;
  close(): void;
}

/** Until standard input ends. */
export async function answerRequests(open: (request: StepCase & { readonly mode: string }) => Stepper): Promise<void> {
  configureEngine({ intraOpThreads: Number(process.argv[2]), interOpThreads: Number(process.argv[3] ?? 1) });
  let stepper: Stepper | undefined;
  const answer = (request: StepRequest): unknown => {
    if (request.call === 'info') return info();
    if (request.call === 'open') {
      stepper?.close();
      stepper = open(request);
      stepper.step();
      return { parameters: stepper.parameters };
    }
    const ms: number[] = [];
    for (let step = 0; step < request.steps; step++) {
      const startMs = monotonicMs();
      stepper?.step();
      ms.push(monotonicMs() - startMs);
    }
    return { ms };
  };
  for await (const line of createInterface({ input: process.stdin })) {
    let reply: unknown;
    try {
      reply = answer(JSON.parse(line));
    } catch (error) {
      reply = { error: StillhouseError.from(error, 'a step of ours').message };
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
}

/** Best of several large products, billions of floating-point operations per second. */
function sgemmGflops(n = 2048, repeats = 5): number {
  const a = tf.randomNormal([n, n]) as tf.Tensor2D;
  let best = 0;
  for (let repeat = 0; repeat < repeats; repeat++) {
    const startMs = monotonicMs();
    const product = tf.matMul(a, a);
    product.slice([0, 0], [1, 1]).dataSync();
    best = Math.max(best, (2 * n ** 3) / (monotonicMs() - startMs) / 1e6);
    product.dispose();
  }
  a.dispose();
  return best;
}

function info(): PeerInfo {
  return { version: engineFingerprint(), rss: process.resourceUsage().maxRSS * 1024, gflops: sgemmGflops() };
}
