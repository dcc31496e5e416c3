/** Trains a teacher on all lanes, alone, and stores it. */
import type { Logger } from '../../lib/base/log.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import type { Compute } from '../../lib/distill/compute.ts';
import { prepareTraining } from '../../lib/distill/training-loop.ts';
import { epochSteps } from '../../lib/distill/training-plan.ts';
import { localAverager } from '../../lib/gradient/local-averager.ts';
import { planTeacher } from '../../lib/wire/job-plan.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { ShareMeter } from '../../lib/wire/share-meter.ts';
import {
  checkpoints,
  evaluateAndStore,
  loadInit,
  noticeOf,
  openTraining,
  weightsDigest,
} from '../../lib/wire/trainer.ts';
import type { TaskContext, TaskResult } from '../../lib/wire/worker-session.ts';

export interface TrainTeacherRequest {
  readonly jobId: string;
  readonly job: JobSpec;
  readonly teacher: string;
  readonly workerId: string;
  readonly dataset: Dataset;
  readonly compute: Compute;
  readonly objects: ObjectStore;
  readonly logger: Logger;
}

export async function trainTeacher(request: TrainTeacherRequest, task: TaskContext): Promise<TaskResult> {
  const { job, jobId, dataset, compute, objects } = request;
  const network = job.teachers.find(({ name }) => name === request.teacher);
  const plan = await planTeacher(job, dataset, request.teacher, await loadInit(objects, network));
  const { lanes, steps } = plan.training;
  const training = await openTraining(compute, plan, dataset);
  const { program } = training;
  try {
    const stepsPerEpoch = epochSteps(plan.training);
    const meter = new ShareMeter({ workerId: request.workerId, firstLane: 0, lanes }, { steps, stepsPerEpoch });
    const { signal } = task;
    const store = { program, plan, dataset, job, jobId, teacher: null, objects, signal };
    const train = await prepareTraining({
      ...training,
      plan: plan.training,
      firstLane: 0,
      lanes,
      averager: lanes === 1 ? null : localAverager(lanes, program.vectorSize),
      teacher: null,
      signal,
      onCommit: (commit) => task.progress(meter.commit(commit, { bytesSent: 0, bytesReceived: 0 })),
      ...checkpoints({ ...store, logger: request.logger }, network?.train.checkpointEpochs ?? 0, (digest, epoch) =>
        task.progress(meter.stored(digest, epoch)),
      ),
    });
    task.ready({
      parameters: plan.program.model.parameterCount,
      stepsTotal: steps,
      notice: noticeOf(program),
    });
    await task.begun;
    await train();
    const share = meter.finish(await weightsDigest(program));
    return { last: share, ...(await evaluateAndStore(store)) };
  } finally {
    await program.close();
  }
}
