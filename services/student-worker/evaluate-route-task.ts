/** Sends the job's test images through a router and counts correct answers over all classes of the route. */
import { retryUnavailable } from '../../lib/base/retry.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { selectSplits } from '../../lib/data/splits.ts';
import type { EvaluateRoute__Output } from '../../lib/wire/generated/stillhouse/v1/EvaluateRoute.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { OipClient, outputOf } from '../../lib/wire/oip/client.ts';
import { IMAGE } from '../../lib/wire/oip/image-signature.ts';
import { textValues } from '../../lib/wire/oip/raw-tensor.ts';
import type { TaskContext, TaskResult } from '../../lib/wire/worker-session.ts';

export interface EvaluateRouteRequest {
  readonly job: JobSpec;
  readonly dataset: Dataset;
  readonly command: EvaluateRoute__Output;
}

const IMAGES_PER_REQUEST = 64;
const REQUEST_TIMEOUT_MS = 30_000;
/** A route may be unable to answer for a moment: a specialist is silent, a revision is taken over. */
const PATIENCE = { patienceMs: 30_000, retryMs: 200 };

export async function evaluateRoute(request: EvaluateRouteRequest, task: TaskContext): Promise<TaskResult> {
  const { job, dataset, command } = request;
  const { test } = selectSplits(dataset, { seed: job.seed, ...job.data });
  const ids = test.subarray(0, job.evaluate.routeImages ?? test.length);
  const client = new OipClient(command.routerAddress);
  try {
    task.ready({ parameters: 0, stepsTotal: 0 });
    await task.begun;
    let correct = 0;
    for (let start = 0; start < ids.length; start += IMAGES_PER_REQUEST) {
      const batch = ids.subarray(start, start + IMAGES_PER_REQUEST);
      const { signal } = task;
      correct += await retryUnavailable(() => correctAnswers(client, command.route, dataset, batch, signal), {
        ...PATIENCE,
        signal,
      });
    }
    return { correct, evaluatedImages: ids.length };
  } finally {
    client.close();
  }
}

async function correctAnswers(
  client: OipClient,
  route: string,
  dataset: Dataset,
  ids: Uint32Array,
  signal: AbortSignal,
): Promise<number> {
  const { height, width, channels } = dataset.image;
  const image = {
    name: IMAGE,
    datatype: 'FP32' as const,
    shape: [ids.length, height, width, channels],
    values: dataset.readImages(ids),
  };
  const response = await client.infer(
    { modelName: route, inputs: [image], outputs: ['label'] },
    { timeoutMs: REQUEST_TIMEOUT_MS, signal },
  );
  const labels = textValues(outputOf(response, 'label'));
  return labels.filter((label, row) => label === dataset.classNames[dataset.labels[ids[row] as number] as number])
    .length;
}
