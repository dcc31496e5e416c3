// Original file: proto/stillhouse/v1/teacher.proto


export interface TeacherJobStatus {
  'jobId'?: (string);
  'modelDigest'?: (string);
  'samplesServed'?: (number);
  'samplesRepeated'?: (number);
  'batchesServed'?: (number);
  'bytesSent'?: (number | string);
  'computeMs'?: (number | string);
  'samplesCached'?: (number);
  'teacher'?: (string);
  'samplesComputed'?: (number);
  'batchesRefused'?: (number);
  'samplesQueued'?: (number);
  'servingMs'?: (number | string);
}

export interface TeacherJobStatus__Output {
  'jobId': (string);
  'modelDigest': (string);
  'samplesServed': (number);
  'samplesRepeated': (number);
  'batchesServed': (number);
  'bytesSent': (number);
  'computeMs': (number);
  'samplesCached': (number);
  'teacher': (string);
  'samplesComputed': (number);
  'batchesRefused': (number);
  'samplesQueued': (number);
  'servingMs': (number);
}
