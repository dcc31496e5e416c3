// Original file: proto/stillhouse/v1/workers.proto


export interface ViewMember {
  'workerId'?: (string);
  'firstLane'?: (number);
  'lanes'?: (number);
}

export interface ViewMember__Output {
  'workerId': (string);
  'firstLane': (number);
  'lanes': (number);
}
