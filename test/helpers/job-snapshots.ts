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
    ...more,
  };
}

export function jobSnapshot(state: Job['state'], phases: Phase[], message = ''): Job {
  const times = { createdAt: '2024-01-01T00:00:00.000Z', endedAt: '' };
  const content = { specJson: '', revision: 1, datasetDigest: '', skippedSamples: [] };
  return { id: 'job-1', name: 'tiny', state, message, phases, ...content, ...times };
}

/** The share of a worker that has taken part with so many images. */
export function workerShare(workerId: string, samplesCommitted: number, dataWaitMs = 0): Phase['workers'][number] {
  const traffic = {
    gradientBytesSent: 0,
    gradientBytesReceived: 0,
    teacherWaitMs: 0,
    averagingWaitMs: 0,
    dataWaitMs,
  };
  const counts = { firstLane: 0, lanes: 1, stepsCommitted: 0, samplesCommitted, teacherSamples: 0 };
  return { workerId, ...counts, ...traffic, weightsDigest: '', pid: 1 };
}
