/** Jobs as a coordinator reports them, for tests of what is made of such reports. */
import type { Job } from '../../cli/coordinator-client.ts';
import type { Phase } from '../../cli/job-view.ts';

export function phaseSnapshot(
  kind: Phase['kind'],
  state: Phase['state'],
  subject: string,
  more: Partial<Phase> = {},
): Phase {
  return {
    kind,
    state,
    subject,
    step: 0,
    stepsTotal: 0,
    firstLoss: 0,
    loss: 0,
    imagesPerSecond: 0,
    accuracy: 0,
    evaluatedImages: 0,
    workers: [],
    modelDigest: '',
    seconds: 0,
    parameters: 0,
    notice: '',
    epoch: 0,
    epochs: 0,
    epochLoss: 0,
    epochAccuracy: 0,
    predictImagesPerSecond: 0,
    rules: [],
    rule: '',
    checkpointDigest: '',
    checkpointEpoch: 0,
    finishedEpoch: 0,
    finishedEpochLoss: 0,
    finishedEpochAccuracy: 0,
    droppedDigest: '',
    teachers: [],
    advice: '',
    teachersWanted: 0,
    bestEpoch: 0,
    bestAccuracy: 0,
    stoppedEarly: false,
    ...more,
  };
}

export function jobSnapshot(state: Job['state'], phases: Phase[], message = ''): Job {
  const times = { createdAt: '2024-01-01T00:00:00.000Z', endedAt: '' };
  const content = { specJson: '', revision: 1, datasetDigest: '', skippedSamples: [], scope: 'JOB_SCOPE_ALL' as const };
  return { id: 'job-1', name: 'tiny', state, message, phases, ...content, ...times };
}

/** The share of a worker that has taken part with so many images. */
export function workerShare(
  workerId: string,
  samplesCommitted: number,
  more: Partial<Phase['workers'][number]> = {},
): Phase['workers'][number] {
  return {
    workerId,
    firstLane: 0,
    lanes: 1,
    stepsCommitted: 0,
    samplesCommitted,
    gradientBytesSent: 0,
    gradientBytesReceived: 0,
    teacherSamples: 0,
    weightsDigest: '',
    teacherWaitMs: 0,
    averagingWaitMs: 0,
    dataWaitMs: 0,
    pid: 1,
    cachedSamples: 0,
    batchesResent: 0,
    duplicateAnswers: 0,
    logitsBytesReceived: 0,
    evaluationMs: 0,
    ...more,
  };
}

/** What a teacher-worker has done for a phase. */
export function teacherShare(
  workerId: string,
  teacher: string,
  more: Partial<Phase['teachers'][number]> = {},
): Phase['teachers'][number] {
  return {
    workerId,
    teacher,
    samplesServed: 0,
    samplesComputed: 0,
    samplesCached: 0,
    samplesRepeated: 0,
    batchesRefused: 0,
    samplesQueued: 0,
    bytesSent: 0,
    computeMs: 0,
    servingMs: 0,
    ...more,
  };
}
