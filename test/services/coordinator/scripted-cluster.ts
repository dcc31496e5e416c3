/**
 * A cluster around a real coordinator: workers that speak the real protocol over gRPC and NATS, and compute nothing. What
 * they answer can be changed by the test.
 */
import { sha256 } from '../../../lib/base/digest.ts';
import type { StartTask__Output } from '../../../lib/wire/generated/stillhouse/v1/StartTask.ts';
import { startHeartbeat } from '../../../lib/wire/heartbeat.ts';
import type { JobSpec } from '../../../lib/wire/job-file.ts';
import { jobSpecFromJson } from '../../../lib/wire/job-file.ts';
import { connectNats } from '../../../lib/wire/nats.ts';
import { attend, type TaskContext, type TaskResult } from '../../../lib/wire/worker-session.ts';
import { silent } from '../../helpers/logger.ts';
import { SMALL_CLASS_NAMES } from '../../helpers/small-dataset.ts';

export type Role = 'teacher' | 'student' | 'specialist';
export type Script = (start: StartTask__Output, context: TaskContext, workerId: string) => Promise<TaskResult>;

export interface ScriptedWorker {
  readonly id: string;
  /** All tasks that it was sent. */
  readonly tasks: StartTask__Output[];
  readonly modelDigests: string[];
  /** Says that it will go. */
  drain(): void;
  stop(): Promise<void>;
}

const STEPS = 4;

export async function startWorker(
  options: { coordinator: string; nats: string; id: string; role: Role; engine?: string },
  script: Script = workAsAsked,
): Promise<ScriptedWorker> {
  const { coordinator, id, role } = options;
  const controller = new AbortController();
  const draining = new AbortController();
  const nats = await connectNats({ servers: options.nats, name: id, logger: silent });
  const tasks: StartTask__Output[] = [];
  let modelDigests: string[] = [];
  const address = role === 'student' ? '' : `${id}:1`;
  const heart = startHeartbeat(nats.bus, () => ({ id, role, address, activity: 'scripted', pid: 1, modelDigests }));
  const session = attend({
    coordinator,
    hello: { workerId: id, role, address, pid: 1, engineFingerprint: options.engine ?? 'same' },
    logger: silent,
    signal: controller.signal,
    draining: draining.signal,
    runTask: async (start, context) => {
      tasks.push(start);
      if (start.serveModels) {
        modelDigests = start.serveModels.models.map(({ modelDigest }) => modelDigest);
        heart.beat();
        return {};
      }
      return await script(start, context, id);
    },
  });
  return {
    id,
    tasks,
    get modelDigests() {
      return modelDigests;
    },
    drain: () => draining.abort(),
    stop: async () => {
      controller.abort();
      await session;
      heart.stop();
      await nats.close();
    },
  };
}

/** A router that has taken every route over as soon as its legs are served, as its heartbeats tell. */
export async function startRouter(options: { nats: string; id: string; specialists: readonly ScriptedWorker[] }) {
  const nats = await connectNats({ servers: options.nats, name: options.id, logger: silent });
  const routes: Record<string, number> = {};
  const seen = new Map<string, { digests: string[]; revision: number }>();
  const describe = () => {
    const served = new Set(options.specialists.flatMap(({ modelDigests }) => modelDigests));
    for (const [name, { digests, revision }] of seen) {
      if (digests.every((digest) => served.has(digest))) routes[name] = revision;
    }
    return {
      id: options.id,
      role: 'router' as const,
      address: `${options.id}:1`,
      activity: 'scripted',
      pid: 1,
      modelDigests: [],
      routes,
    };
  };
  const heart = startHeartbeat(nats.bus, describe, 100);
  const stopWatch = await (await nats.keyValue('still_routes')).watch((name, value, revision) => {
    const { legs } = JSON.parse(new TextDecoder().decode(value)) as { legs: { modelDigest: string }[] };
    seen.set(name, { digests: legs.map(({ modelDigest }) => modelDigest), revision });
  });
  return {
    stop: async () => {
      stopWatch();
      heart.stop();
      await nats.close();
    },
  };
}

/** Does every task well. */
export const workAsAsked: Script = async (start, context, workerId) => {
  const spec = jobSpecFromJson(start.jobJson);
  if (start.evaluateRoute) {
    context.ready({ parameters: 0, stepsTotal: 0 });
    await context.begun;
    const rules = start.evaluateRoute.rules.map((rule) => ({ rule, correct: 5, evaluatedImages: 6 }));
    return { correct: 5, evaluatedImages: 6, rules };
  }
  context.ready({ parameters: 100, stepsTotal: start.serveTeacher || start.evaluateTeacher ? 0 : STEPS });
  if (start.serveTeacher) {
    await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
    return {};
  }
  await context.begun;
  if (start.evaluateTeacher) {
    const modelDigest = sha256(start.jobId, start.evaluateTeacher.teacher);
    return { modelDigest, correct: 3, evaluatedImages: 4, predictImagesPerSecond: 250 };
  }
  if (start.labelImages) {
    const { modelDigest, answers } = start.labelImages;
    return { labelsDigest: answers ? sha256(start.jobId, modelDigest) : '' };
  }
  return trained(start, spec, context, workerId);
};

/** Never ends by itself. */
export const workForEver: Script = async (_start, context) => {
  context.ready({ parameters: 100, stepsTotal: STEPS });
  await context.begun;
  return await new Promise((_, reject) => {
    context.signal.addEventListener('abort', () => reject(context.signal.reason));
  });
};

function trained(start: StartTask__Output, spec: JobSpec, context: TaskContext, workerId: string): TaskResult {
  const { trainStudent, trainTeacher, jobId } = start;
  const members = (trainStudent ?? trainTeacher)?.view?.members ?? [];
  const own = members.find((member) => member.workerId === workerId);
  const share = {
    workerId,
    firstLane: own?.firstLane ?? 0,
    lanes: own?.lanes ?? 1,
    stepsCommitted: STEPS,
    samplesCommitted: 12,
    gradientBytesSent: 1_000,
    gradientBytesReceived: 1_000,
    teacherSamples: trainStudent?.control ? 0 : 12,
    weightsDigest: sha256(jobId, trainStudent?.student ?? 'teacher'),
    pid: 1,
  };
  context.progress({ step: 1, firstLoss: 2, loss: 2, share: { ...share, stepsCommitted: 1 } });
  const checkpoint = { checkpointDigest: sha256(jobId), checkpointEpoch: 1 };
  const last = { step: STEPS, firstLoss: 2, loss: 1, epoch: 2, epochs: 2, epochLoss: 1.5, ...checkpoint, share };
  if (members[0]?.workerId !== workerId) return { last };
  const manifestJson = manifestOf(start, spec);
  return {
    last,
    manifestJson,
    modelDigest: sha256(manifestJson),
    correct: 3,
    evaluatedImages: 4,
    predictImagesPerSecond: 250,
  };
}

function manifestOf({ trainStudent, jobId, datasetDigest }: StartTask__Output, spec: JobSpec): string {
  const digest = sha256(jobId);
  const name = trainStudent?.student ?? 'teacher';
  const student = spec.students.find((one) => one.name === name);
  const classNames = (student?.classes ?? SMALL_CLASS_NAMES).map(String);
  return JSON.stringify({
    formatVersion: 1,
    name: `${spec.name}/${name}`,
    architecture: { name: 'simple-cnn' },
    classNames,
    ...(student?.dustbin === true ? { dustbin: true } : {}),
    classIds: classNames.map((one) => (SMALL_CLASS_NAMES as readonly string[]).indexOf(one)),
    parentClassNames: SMALL_CLASS_NAMES,
    input: { height: 32, width: 32, channels: 3 },
    preprocessing: { scale: '0..1', mean: [0, 0, 0], std: [1, 1, 1] },
    calibration: null,
    lineage: {
      job: jobId,
      jobSpecDigest: digest,
      dataset: datasetDigest,
      teacher: trainStudent && !trainStudent.control ? digest : null,
      arm: trainStudent ? (trainStudent.control ? 'control' : 'distil') : 'teacher',
    },
    weights: { file: 'weights.safetensors', digest, parameters: 100 },
  });
}
