/** Trains a teacher on all lanes, alone, and stores it. */
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import type { Compute } from '../../lib/distill/compute.ts';
import { runTraining } from '../../lib/distill/training-loop.ts';
import { localAverager } from '../../lib/gradient/local-averager.ts';
import { planTeacher } from '../../lib/wire/job-plan.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { ShareMeter } from '../../lib/wire/share-meter.ts';
import { evaluateAndStore, openTraining, weightsDigest } from '../../lib/wire/trainer.ts';
import type { TaskContext, TaskResult } from '../../lib/wire/worker-session.ts';

export interface TrainTeacherRequest {
  readonly jobId: string;
  readonly job: JobSpec;
  readonly teacher: string;
  readonly workerId: string;
  readonly dataset: Dataset;
  readonly compute: Compute;
  readonly objects: ObjectStore;
}

export async function trainTeacher(request: TrainTeacherRequest, task: TaskContext): Promise<TaskResult> {
  const { job, jobId, dataset, compute, objects } = request;
  const plan = planTeacher(job, dataset, request.teacher);
  const { lanes } = plan.training;
  const program = await openTraining(compute, plan, objects);
  try {
    task.ready({ parameters: plan.program.model.parameterCount, stepsTotal: plan.totalSteps });
    await task.begun;
    const meter = new ShareMeter({ workerId: request.workerId, firstLane: 0, lanes });
    await runTraining({
      program,
      dataset,
      plan: plan.training,
      firstLane: 0,
      lanes,
      averager: localAverager(lanes, program.vectorSize),
      teacher: null,
      signal: task.signal,
      onCommit: (commit) => task.progress(meter.commit(commit, { bytesSent: 0, bytesReceived: 0 })),
    });
    const share = meter.finish(await weightsDigest(program));
    const { signal } = task;
    const stored = await evaluateAndStore({ program, plan, dataset, job, jobId, teacher: null, objects, signal });
    return { last: share, ...stored };
  } finally {
    await program.close();
  }
}
