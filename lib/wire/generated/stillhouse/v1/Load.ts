// Original file: proto/stillhouse/v1/teacher.proto


export interface Load {
  'queuedSamples'?: (number);
  'samplesPerSecond'?: (number | string);
  'draining'?: (boolean);
}

export interface Load__Output {
  'queuedSamples': (number);
  'samplesPerSecond': (number);
  'draining': (boolean);
}
