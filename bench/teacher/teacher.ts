/**
 * The teacher's process: a teacher-worker's service with teachers of several jobs. Arguments: the folder of data sets, a folder
 * for objects.
 */
import { StillhouseError } from '../../lib/base/errors.ts';
import { createFolderStore } from '../../lib/checkpoint/store.ts';
import { openDataset } from '../../lib/data/open-dataset.ts';
import { RpcServer } from '../../lib/wire/grpc.ts';
import { jobSpecFromJson } from '../../lib/wire/job-file.ts';
import { planTeacher } from '../../lib/wire/job-plan.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { evaluateAndStore, openTraining } from '../../lib/wire/trainer.ts';
import { LogitsService } from '../../services/teacher-worker/logits-service.ts';
import { serveTeachers } from '../../services/teacher-worker/serve-task.ts';
import { answerLines, logger, processorMs, startCompute, taskContext } from './answer-lines.ts';
import { TEACHER } from './cases.ts';
import type { ServeAnswer, TeacherRequest, Usage } from './protocol.ts';

const [root, objectsFolder] = process.argv.slice(2) as [string, string];
const HOST = '127.0.0.1';
const WORKER_ID = 'bench-teacher';

const compute = startCompute();
const dataset = await openDataset(root, 'cifar10', { verifyContent: false });
const objects = createFolderStore(objectsFolder);
const logits = new LogitsService({ workerId: WORKER_ID });
const server = new RpcServer(logger).add('Teacher', logits.implementation());
const address = `${HOST}:${await server.listen(HOST, 0)}`;
const ending = new AbortController();

/** As it starts: what it answers does not change what answering takes. */
async function storeTeacher(job: JobSpec, jobId: string): Promise<string> {
  const { signal } = ending;
  const plan = await planTeacher(job, dataset, TEACHER, null);
  const { program } = await openTraining(compute, plan, dataset);
  try {
    const request = { program, plan, dataset, job, jobId, teachers: [], objects, signal };
    return (await evaluateAndStore(request, { epochs: 0, best: null })).modelDigest;
  } finally {
    await program.close();
  }
}

async function serve(jobId: string, job: JobSpec, logitsFolder: string): Promise<ServeAnswer> {
  const modelDigest = await storeTeacher(job, jobId);
  const command = { teachers: [{ teacher: TEACHER, modelDigest }] };
  const worker = { workerId: WORKER_ID, dataset, compute, objects, logits, logger };
  await new Promise<void>((resolve, reject) => {
    const request = { ...worker, jobId, job, command, logitsFolder, cache: objectsFolder };
    serveTeachers(request, taskContext(ending.signal, resolve)).catch(reject);
  });
  return { modelDigest, address };
}

await answerLines(async (request: TeacherRequest): Promise<ServeAnswer | Usage | undefined> => {
  switch (request.call) {
    case 'serve':
      return serve(request.jobId, jobSpecFromJson(request.jobJson), request.logitsFolder);
    case 'usage':
      return { processorMs: processorMs() };
    default:
      return undefined;
  }
});
ending.abort(new StillhouseError('CANCELLED', 'the benchmark has ended'));
await server.stop(0);
await compute.close();
await dataset.close();
