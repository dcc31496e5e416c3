/** Teachers whose logits are sums of pixels: behind the real service, and one whose server says whatever a test wants. */
import type { ExecutionContext } from 'ava';
import { sleep } from '../../lib/base/clock.ts';
import type { CachedLogits } from '../../lib/checkpoint/logits-cache/cache.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { VIEW_PROTOCOL } from '../../lib/data/views.ts';
import type { LabelBatch__Output } from '../../lib/wire/generated/stillhouse/v1/LabelBatch.ts';
import type { LogitsReply } from '../../lib/wire/generated/stillhouse/v1/LogitsReply.ts';
import type { Opened } from '../../lib/wire/generated/stillhouse/v1/Opened.ts';
import { RpcServer } from '../../lib/wire/grpc.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { viewsOf } from '../../lib/wire/teacher-views.ts';
import { LogitsService } from '../../services/teacher-worker/logits-service.ts';
import { ServingCounters } from '../../services/teacher-worker/serving-counters.ts';
import { silent } from './logger.ts';

export interface LinearTeacher {
  readonly job: JobSpec;
  readonly dataset: Dataset;
  readonly name: string;
  readonly modelDigest: string;
  /** Of its logits: two teachers of different factors answer differently. */
  readonly factor: number;
}

/** Class c's logit is the mean of every pixel value at a place that is c modulo the classes, times the factor, minus 3. */
export function linearLogits(images: Float32Array, count: number, classes: number, factor: number): Float32Array {
  const size = images.length / count;
  const logits = new Float32Array(count * classes);
  for (let image = 0; image < count; image++) {
    const sums = new Float64Array(classes);
    for (let at = 0; at < size; at++) {
      sums[at % classes] = (sums[at % classes] as number) + (images[image * size + at] as number);
    }
    for (let label = 0; label < classes; label++) {
      logits[image * classes + label] = ((sums[label] as number) / size) * factor - 3;
    }
  }
  return logits;
}

export interface LinearService {
  readonly workerId: string;
  readonly computeMs?: number;
  readonly cache?: CachedLogits;
}

/** One teacher-worker. */
export async function serveLinear(t: ExecutionContext, teacher: LinearTeacher, options: LinearService) {
  const { job, dataset, name, modelDigest, factor } = teacher;
  const { workerId, computeMs = 0, cache = null } = options;
  const { classNames } = dataset;
  const service = new LogitsService({ workerId });
  const counters = new ServingCounters('job-1', name, modelDigest);
  const serving = { jobId: 'job-1', name, modelDigest, classNames, dataset, seed: job.seed, cache, counters };
  const served = {
    ...serving,
    views: viewsOf(job, name),
    microBatch: job.train.microBatch,
    merging: null,
    predict: async (images: Float32Array, count: number) => {
      if (computeMs > 0) await sleep(computeMs);
      return linearLogits(images, count, classNames.length, factor);
    },
  };
  const serve = () => service.serve(served);
  serve();
  const server = new RpcServer(silent).add('Teacher', service.implementation());
  const address = `127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
  const stop = () => server.stop(0);
  t.teardown(stop);
  return { endpoint: { workerId, address, modelDigest, teacher: name }, service, serve, counters, stop };
}

export interface Script {
  readonly opened?: Partial<Opened>;
  /** @param count of batches so far, from 0 */
  readonly answer: (batch: LabelBatch__Output, count: number) => readonly LogitsReply[] | Error;
}

/** A worker whose replies a test has written: for what no real one answers when it is asked to. */
export async function serveScript(t: ExecutionContext, teacher: LinearTeacher, workerId: string, script: Script) {
  const { dataset, modelDigest, name } = teacher;
  let batches = 0;
  let streams = 0;
  const server = new RpcServer(silent).add('Teacher', {
    GetTeacherStatus: () => ({ workerId, jobs: [] }),
    StreamLogits: async (call) => {
      streams += 1;
      for await (const { open, batch } of call) {
        if (open) {
          const digests = { modelDigest, datasetDigest: dataset.digest, viewProtocol: VIEW_PROTOCOL };
          const load = { queuedSamples: 0, samplesPerSecond: 1_000_000, draining: false };
          const teacherClassNames = [...dataset.classNames];
          call.write({ opened: { credits: 8, teacherClassNames, ...digests, load, ...script.opened } });
        } else if (batch) {
          const replies = script.answer(batch, batches++);
          if (replies instanceof Error) throw replies;
          for (const reply of replies) call.write(reply);
        }
      }
    },
  });
  const address = `127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
  t.teardown(() => server.stop(0));
  const counts = () => ({ batches, streams });
  return { endpoint: { workerId, address, modelDigest, teacher: name }, counts };
}
