/** What teacher-workers and student-workers have in common: connections, the compute thread, data sets, heartbeats. */
import { StillhouseError } from '../base/errors.ts';
import { cacheRoot, logitsRoot } from '../base/folders.ts';
import type { ProcessContext } from '../base/process.ts';
import { uniqueId } from '../base/random.ts';
import type { Settings } from '../base/settings.ts';
import { LOGITS_MEMORY_BYTES, limitLogitsMemory } from '../checkpoint/logits-cache/cache.ts';
import type { ObjectStore } from '../checkpoint/store.ts';
import type { Dataset } from '../data/dataset.ts';
import { Compute } from '../distill/compute.ts';
import { configureEngine, engineSettings } from '../engine/environment.ts';
import { Datasets } from './datasets.ts';
import type { Hello } from './generated/stillhouse/v1/Hello.ts';
import type { StartTask__Output } from './generated/stillhouse/v1/StartTask.ts';
import { type Heart, startHeartbeat } from './heartbeat.ts';
import { openJobData } from './job-data.ts';
import { jobSpecFromJson } from './job-file.ts';
import { ALLOW_CUSTOM_CODE, refuseCustomCode } from './job-losses.ts';
import type { JobSpec } from './job-spec.ts';
import { connectNats, type Nats } from './nats.ts';
import type { Role } from './records.ts';

/** Sets the engine's threads and device; once per process, before the compute thread starts. */
export function startCompute(settings: Settings): Compute {
  configureEngine(engineSettings(settings));
  return new Compute();
}

const MAX_DATA_THREADS = 64;
/** With none, every row is read from its file. */
const LOGITS_MEMORY_RANGE = { min: 0, max: Number.MAX_SAFE_INTEGER };

/** Threads that read images beside the event loop. */
function dataThreads(settings: Settings): number {
  return settings.integer('STILLHOUSE_DATA_THREADS', 1, { min: 1, max: MAX_DATA_THREADS });
}

export class WorkerProcess {
  readonly id: string;
  readonly role: Role;
  readonly nats: Nats;
  readonly objects: ObjectStore;
  readonly compute: Compute;
  readonly fingerprint: string;
  /** Where logits are stored. */
  readonly logitsFolder: string;
  /** Where what has been fetched lies; see `cacheRoot`. */
  readonly cache: string;
  /** What the worker is doing, told by its heartbeats. */
  activity = 'idle';
  /** Its business address; empty for roles that serve none. */
  address = '';
  modelDigests: string[] = [];
  readonly #datasets: Datasets;
  readonly #allowsCustomCode: boolean;
  #heart: Heart | undefined;

  /** @throws UNAVAILABLE without NATS; FAILED_PRECONDITION when TensorFlow cannot be loaded */
  static async open(context: ProcessContext, role: Role): Promise<WorkerProcess> {
    const { settings, logger, signal } = context;
    const id = settings.text('STILLHOUSE_WORKER_ID', uniqueId(role));
    limitLogitsMemory(settings.integer('STILLHOUSE_LOGITS_MEMORY_BYTES', LOGITS_MEMORY_BYTES, LOGITS_MEMORY_RANGE));
    const servers = settings.required('NATS_URL', 'the address of nats-server, nats://host:port');
    const compute = startCompute(settings);
    const [nats, fingerprint] = await Promise.all([
      connectNats({ servers, name: id, logger, signal }),
      compute.fingerprint(),
    ]);
    return new WorkerProcess(
      Datasets.of(settings, { threads: dataThreads(settings) }),
      settings.flag(ALLOW_CUSTOM_CODE),
      {
        id,
        role,
        nats,
        objects: await nats.objects(),
        compute,
        fingerprint,
        logitsFolder: logitsRoot(settings.environment),
        cache: cacheRoot(settings.environment),
      },
    );
  }

  private constructor(
    datasets: Datasets,
    allowsCustomCode: boolean,
    parts: Pick<
      WorkerProcess,
      'id' | 'role' | 'nats' | 'objects' | 'compute' | 'fingerprint' | 'logitsFolder' | 'cache'
    >,
  ) {
    this.#datasets = datasets;
    this.#allowsCustomCode = allowsCustomCode;
    this.id = parts.id;
    this.role = parts.role;
    this.nats = parts.nats;
    this.objects = parts.objects;
    this.compute = parts.compute;
    this.fingerprint = parts.fingerprint;
    this.logitsFolder = parts.logitsFolder;
    this.cache = parts.cache;
  }

  /** How the worker introduces itself to the coordinator; once its address is known. */
  hello(): Hello {
    const { id: workerId, role, address, fingerprint: engineFingerprint } = this;
    return { workerId, role, address, pid: process.pid, engineFingerprint };
  }

  startHeartbeat(): void {
    this.#heart = startHeartbeat(this.nats.bus, () => ({
      id: this.id,
      role: this.role,
      address: this.address,
      activity: this.activity,
      pid: process.pid,
      modelDigests: this.modelDigests,
    }));
  }

  /** Tells at once what the worker does now. */
  doing(activity: string): void {
    this.activity = activity;
    this.#heart?.beat();
  }

  /**
   * The job of a task and its data, which stays open for the next tasks.
   * @throws FAILED_PRECONDITION when a data set is not here, or another than the coordinator's, or the job brings code that
   *   is not allowed here; INVALID_ARGUMENT for a path that is not allowed; what else `openJobData` throws
   */
  async jobOf(start: StartTask__Output): Promise<{ job: JobSpec; dataset: Dataset }> {
    const job = jobSpecFromJson(start.jobJson);
    // Whatever the task: a job that would fail in its last phase shall not first train a teacher.
    refuseCustomCode(job, this.#allowsCustomCode);
    const dataset = await openJobData(this.#datasets, job.data);
    if (dataset.digest !== start.datasetDigest) {
      const { name, digest } = dataset;
      throw new StillhouseError(
        'FAILED_PRECONDITION',
        `the data set ${name} is ${digest} on worker ${this.id}, but the job is about ${start.datasetDigest}`,
        { field: 'data.dataset', hint: 'put the same data set in place on every worker' },
      );
    }
    return { job, dataset };
  }

  async close(): Promise<void> {
    this.#heart?.stop();
    await this.nats.close();
    await this.compute.close();
    await this.#datasets.close();
  }
}
