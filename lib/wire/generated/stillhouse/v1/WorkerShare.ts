// Original file: proto/stillhouse/v1/coordinator.proto


export interface WorkerShare {
  'workerId'?: (string);
  'firstLane'?: (number);
  'lanes'?: (number);
  'stepsCommitted'?: (number);
  'samplesCommitted'?: (number);
  'gradientBytesSent'?: (number | string);
  'gradientBytesReceived'?: (number | string);
  'teacherSamples'?: (number);
  'weightsDigest'?: (string);
  'teacherWaitMs'?: (number | string);
  'averagingWaitMs'?: (number | string);
  'pid'?: (number);
  'dataWaitMs'?: (number | string);
  'cachedSamples'?: (number);
  'batchesResent'?: (number);
  'duplicateAnswers'?: (number);
  'logitsBytesReceived'?: (number | string);
  'evaluationMs'?: (number | string);
}

export interface WorkerShare__Output {
  'workerId': (string);
  'firstLane': (number);
  'lanes': (number);
  'stepsCommitted': (number);
  'samplesCommitted': (number);
  'gradientBytesSent': (number);
  'gradientBytesReceived': (number);
  'teacherSamples': (number);
  'weightsDigest': (string);
  'teacherWaitMs': (number);
  'averagingWaitMs': (number);
  'pid': (number);
  'dataWaitMs': (number);
  'cachedSamples': (number);
  'batchesResent': (number);
  'duplicateAnswers': (number);
  'logitsBytesReceived': (number);
  'evaluationMs': (number);
}
