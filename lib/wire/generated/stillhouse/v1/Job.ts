// Original file: proto/stillhouse/v1/coordinator.proto

import type { JobState as _stillhouse_v1_JobState, JobState__Output as _stillhouse_v1_JobState__Output } from '../../stillhouse/v1/JobState.ts';
import type { Phase as _stillhouse_v1_Phase, Phase__Output as _stillhouse_v1_Phase__Output } from '../../stillhouse/v1/Phase.ts';
import type { SkippedSample as _stillhouse_v1_SkippedSample, SkippedSample__Output as _stillhouse_v1_SkippedSample__Output } from '../../stillhouse/v1/SkippedSample.ts';
import type { JobScope as _stillhouse_v1_JobScope, JobScope__Output as _stillhouse_v1_JobScope__Output } from '../../stillhouse/v1/JobScope.ts';

export interface Job {
  'id'?: (string);
  'name'?: (string);
  'state'?: (_stillhouse_v1_JobState);
  'message'?: (string);
  'phases'?: (_stillhouse_v1_Phase)[];
  'specJson'?: (string);
  'createdAt'?: (string);
  'endedAt'?: (string);
  'revision'?: (number);
  'datasetDigest'?: (string);
  'skippedSamples'?: (_stillhouse_v1_SkippedSample)[];
  'scope'?: (_stillhouse_v1_JobScope);
}

export interface Job__Output {
  'id': (string);
  'name': (string);
  'state': (_stillhouse_v1_JobState__Output);
  'message': (string);
  'phases': (_stillhouse_v1_Phase__Output)[];
  'specJson': (string);
  'createdAt': (string);
  'endedAt': (string);
  'revision': (number);
  'datasetDigest': (string);
  'skippedSamples': (_stillhouse_v1_SkippedSample__Output)[];
  'scope': (_stillhouse_v1_JobScope__Output);
}
