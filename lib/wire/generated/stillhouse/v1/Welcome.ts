// Original file: proto/stillhouse/v1/workers.proto


export interface Welcome {
  'heartbeatIntervalMs'?: (number);
}

export interface Welcome__Output {
  'heartbeatIntervalMs': (number);
}
