// Original file: proto/stillhouse/v1/coordinator.proto


export interface RuleResult {
  'rule'?: (string);
  'correct'?: (number);
  'evaluatedImages'?: (number);
}

export interface RuleResult__Output {
  'rule': (string);
  'correct': (number);
  'evaluatedImages': (number);
}
