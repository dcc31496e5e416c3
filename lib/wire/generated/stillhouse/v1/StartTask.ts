// Original file: proto/stillhouse/v1/workers.proto

import type { TrainTeacher as _stillhouse_v1_TrainTeacher, TrainTeacher__Output as _stillhouse_v1_TrainTeacher__Output } from '../../stillhouse/v1/TrainTeacher.ts';
import type { ServeTeacher as _stillhouse_v1_ServeTeacher, ServeTeacher__Output as _stillhouse_v1_ServeTeacher__Output } from '../../stillhouse/v1/ServeTeacher.ts';
import type { TrainStudent as _stillhouse_v1_TrainStudent, TrainStudent__Output as _stillhouse_v1_TrainStudent__Output } from '../../stillhouse/v1/TrainStudent.ts';
import type { EvaluateRoute as _stillhouse_v1_EvaluateRoute, EvaluateRoute__Output as _stillhouse_v1_EvaluateRoute__Output } from '../../stillhouse/v1/EvaluateRoute.ts';
import type { ServeModels as _stillhouse_v1_ServeModels, ServeModels__Output as _stillhouse_v1_ServeModels__Output } from '../../stillhouse/v1/ServeModels.ts';
import type { LabelImages as _stillhouse_v1_LabelImages, LabelImages__Output as _stillhouse_v1_LabelImages__Output } from '../../stillhouse/v1/LabelImages.ts';
import type { EvaluateTeacher as _stillhouse_v1_EvaluateTeacher, EvaluateTeacher__Output as _stillhouse_v1_EvaluateTeacher__Output } from '../../stillhouse/v1/EvaluateTeacher.ts';

export interface StartTask {
  'taskId'?: (string);
  'jobId'?: (string);
  'jobJson'?: (string);
  'datasetDigest'?: (string);
  'trainTeacher'?: (_stillhouse_v1_TrainTeacher | null);
  'serveTeacher'?: (_stillhouse_v1_ServeTeacher | null);
  'trainStudent'?: (_stillhouse_v1_TrainStudent | null);
  'evaluateRoute'?: (_stillhouse_v1_EvaluateRoute | null);
  'serveModels'?: (_stillhouse_v1_ServeModels | null);
  'labelImages'?: (_stillhouse_v1_LabelImages | null);
  'evaluateTeacher'?: (_stillhouse_v1_EvaluateTeacher | null);
  'task'?: "trainTeacher"|"serveTeacher"|"trainStudent"|"evaluateRoute"|"serveModels"|"labelImages"|"evaluateTeacher";
}

export interface StartTask__Output {
  'taskId': (string);
  'jobId': (string);
  'jobJson': (string);
  'datasetDigest': (string);
  'trainTeacher'?: (_stillhouse_v1_TrainTeacher__Output | null);
  'serveTeacher'?: (_stillhouse_v1_ServeTeacher__Output | null);
  'trainStudent'?: (_stillhouse_v1_TrainStudent__Output | null);
  'evaluateRoute'?: (_stillhouse_v1_EvaluateRoute__Output | null);
  'serveModels'?: (_stillhouse_v1_ServeModels__Output | null);
  'labelImages'?: (_stillhouse_v1_LabelImages__Output | null);
  'evaluateTeacher'?: (_stillhouse_v1_EvaluateTeacher__Output | null);
  'task'?: "trainTeacher"|"serveTeacher"|"trainStudent"|"evaluateRoute"|"serveModels"|"labelImages"|"evaluateTeacher";
}
