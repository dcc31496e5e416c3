// Original file: proto/stillhouse/v1/coordinator.proto


export interface TeacherShare {
  'workerId'?: (string);
  'teacher'?: (string);
  'samplesServed'?: (number);
  'samplesComputed'?: (number);
  'samplesCached'?: (number);
  'samplesRepeated'?: (number);
  'batchesRefused'?: (number);
  'samplesQueued'?: (number);
  'bytesSent'?: (number | string);
  'computeMs'?: (number | string);
  'servingMs'?: (number | string);
}

export interface TeacherShare__Output {
  'workerId': (string);
  'teacher': (string);
  'samplesServed': (number);
  'samplesComputed': (number);
  'samplesCached': (number);
  'samplesRepeated': (number);
  'batchesRefused': (number);
  'samplesQueued': (number);
  'bytesSent': (number);
  'computeMs': (number);
  'servingMs': (number);
}
