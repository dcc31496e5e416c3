/** Sends images of a job through a router and counts, by each of its rules, correct answers over all classes of the route. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { retryUnavailable } from '../../lib/base/retry.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { selectSplits } from '../../lib/data/splits.ts';
import { batchProgress } from '../../lib/wire/batch-progress.ts';
import type { EvaluateRoute__Output } from '../../lib/wire/generated/stillhouse/v1/EvaluateRoute.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { OipClient, outputOf } from '../../lib/wire/oip/client.ts';
import { IMAGE } from '../../lib/wire/oip/image-signature.ts';
import { textValues } from '../../lib/wire/oip/raw-tensor.ts';
import type { OipTensor } from '../../lib/wire/oip/types.ts';
import type { TaskContext, TaskResult } from '../../lib/wire/worker-session.ts';

export interface EvaluateRouteRequest {
  readonly job: JobSpec;
  readonly dataset: Dataset;
  readonly workerId: string;
  readonly command: EvaluateRoute__Output;
}

const IMAGES_PER_REQUEST = 64;
/** While the answers to one batch travel and are counted, the specialists compute the other. */
const BATCHES_IN_FLIGHT = 2;
const REQUEST_TIMEOUT_MS = 30_000;
/** A route may be unable to answer for a moment: a specialist is silent, a revision is taken over. */
const PATIENCE = { patienceMs: 30_000, retryMs: 200 };

/**
 * @throws INVALID_ARGUMENT naming the field for a command without rules or split, and for a rule that the route does not
 *   allow; FAILED_PRECONDITION when the server at the address does not go by the rule it is asked for; what the router throws
 */
export async function evaluateRoute(request: EvaluateRouteRequest, task: TaskContext): Promise<TaskResult> {
  const { command, dataset, workerId } = request;
  const { rules } = command;
  if (rules.length === 0) throw refused('rules', 'names no rule, expected at least one');
  const ids = imagesOf(request);
  const batches = Array.from({ length: Math.ceil(ids.length / IMAGES_PER_REQUEST) }, (_, at) =>
    ids.subarray(at * IMAGES_PER_REQUEST, (at + 1) * IMAGES_PER_REQUEST),
  );
  const client = new OipClient(command.routerAddress);
  try {
    task.ready({ parameters: 0, stepsTotal: batches.length });
    await task.begun;
    const correct = rules.map(() => 0);
    const done = { batches: 0, images: 0 };
    await eachInFlight(batches, task.signal, async (batch, signal) => {
      const asked = {
        client,
        route: command.route,
        image: await imageTensor(dataset, batch),
        labels: labelsOf(dataset, batch),
      };
      for (const [at, rule] of rules.entries()) {
        const right = await retryUnavailable(() => correctAnswers(asked, rule, signal), { ...PATIENCE, signal });
        correct[at] = (correct[at] as number) + right;
      }
      done.batches++;
      done.images += batch.length;
      task.progress(batchProgress(workerId, done.batches, done.images));
    });
    const results = rules.map((rule, at) => ({ rule, correct: correct[at] as number, evaluatedImages: ids.length }));
    const last = batchProgress(workerId, done.batches, done.images);
    return { last, correct: correct[0] as number, evaluatedImages: ids.length, rules: results };
  } finally {
    client.close();
  }
}

function imagesOf({ job, dataset, command }: EvaluateRouteRequest): Uint32Array {
  const { calibrate, test } = selectSplits(dataset, { seed: job.seed, ...job.data });
  switch (command.split) {
    case 'EVALUATION_SPLIT_CALIBRATE':
      return calibrate;
    case 'EVALUATION_SPLIT_TEST':
      return test.subarray(0, job.evaluate.routeImages ?? test.length);
    default:
      throw refused('split', `is ${command.split}, expected calibrate or test`);
  }
}

function refused(field: string, what: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `evaluate_route.${field} ${what}`, {
    field: `evaluate_route.${field}`,
  });
}

/**
 * Works through the batches in order, `BATCHES_IN_FLIGHT` of them at a time.
 * @throws the first error; the other batch is abandoned then, and has ended when this rejects
 */
async function eachInFlight<T>(
  batches: readonly T[],
  signal: AbortSignal,
  work: (batch: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const abandon = new AbortController();
  const either = AbortSignal.any([signal, abandon.signal]);
  const left = batches.values();
  const runs = Array.from({ length: BATCHES_IN_FLIGHT }, async () => {
    for (const batch of left) {
      either.throwIfAborted();
      await work(batch, either);
    }
  });
  try {
    await Promise.all(runs);
  } catch (error) {
    abandon.abort(new StillhouseError('CANCELLED', 'another batch failed'));
    await Promise.allSettled(runs);
    throw error;
  }
}

async function imageTensor(dataset: Dataset, ids: Uint32Array): Promise<OipTensor> {
  const { height, width, channels } = dataset.image;
  return {
    name: IMAGE,
    // A quarter of the bytes of FP32, through router and specialists; a data set's pixels are whole numbers.
    datatype: 'UINT8',
    shape: [ids.length, height, width, channels],
    values: Uint8Array.from(await dataset.load(ids)),
  };
}

function labelsOf(dataset: Dataset, ids: Uint32Array): string[] {
  return Array.from(ids, (id) => dataset.classNames[dataset.labels[id] as number] as string);
}

interface Question {
  readonly client: OipClient;
  readonly route: string;
  readonly image: OipTensor;
  /** What is right, by row. */
  readonly labels: readonly string[];
}

async function correctAnswers(
  { client, route, image, labels }: Question,
  rule: string,
  signal: AbortSignal,
): Promise<number> {
  const response = await client.infer(
    { modelName: route, parameters: { rule }, inputs: [image], outputs: ['label'] },
    { timeoutMs: REQUEST_TIMEOUT_MS, signal },
  );
  const used = response.parameters.rule;
  if (used !== rule) {
    const says = used === undefined ? 'does not say by which rule it answers' : `answers by the rule "${used}"`;
    throw new StillhouseError('FAILED_PRECONDITION', `the server at ${client.address} ${says}, asked for "${rule}"`, {
      field: 'evaluate_route.rules',
      hint: 'let a router of this version serve the route',
    });
  }
  return textValues(outputOf(response, 'label')).filter((label, row) => label === labels[row]).length;
}
