import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { Begun as _stillhouse_v1_Begun, Begun__Output as _stillhouse_v1_Begun__Output } from './stillhouse/v1/Begun.ts';
import type { Cancel as _stillhouse_v1_Cancel, Cancel__Output as _stillhouse_v1_Cancel__Output } from './stillhouse/v1/Cancel.ts';
import type { GetTeacherStatusRequest as _stillhouse_v1_GetTeacherStatusRequest, GetTeacherStatusRequest__Output as _stillhouse_v1_GetTeacherStatusRequest__Output } from './stillhouse/v1/GetTeacherStatusRequest.ts';
import type { LabelBatch as _stillhouse_v1_LabelBatch, LabelBatch__Output as _stillhouse_v1_LabelBatch__Output } from './stillhouse/v1/LabelBatch.ts';
import type { Load as _stillhouse_v1_Load, Load__Output as _stillhouse_v1_Load__Output } from './stillhouse/v1/Load.ts';
import type { Logits as _stillhouse_v1_Logits, Logits__Output as _stillhouse_v1_Logits__Output } from './stillhouse/v1/Logits.ts';
import type { LogitsFormat as _stillhouse_v1_LogitsFormat, LogitsFormat__Output as _stillhouse_v1_LogitsFormat__Output } from './stillhouse/v1/LogitsFormat.ts';
import type { LogitsKey as _stillhouse_v1_LogitsKey, LogitsKey__Output as _stillhouse_v1_LogitsKey__Output } from './stillhouse/v1/LogitsKey.ts';
import type { LogitsReply as _stillhouse_v1_LogitsReply, LogitsReply__Output as _stillhouse_v1_LogitsReply__Output } from './stillhouse/v1/LogitsReply.ts';
import type { LogitsRequest as _stillhouse_v1_LogitsRequest, LogitsRequest__Output as _stillhouse_v1_LogitsRequest__Output } from './stillhouse/v1/LogitsRequest.ts';
import type { Open as _stillhouse_v1_Open, Open__Output as _stillhouse_v1_Open__Output } from './stillhouse/v1/Open.ts';
import type { Opened as _stillhouse_v1_Opened, Opened__Output as _stillhouse_v1_Opened__Output } from './stillhouse/v1/Opened.ts';
import type { PixelShape as _stillhouse_v1_PixelShape, PixelShape__Output as _stillhouse_v1_PixelShape__Output } from './stillhouse/v1/PixelShape.ts';
import type { Refused as _stillhouse_v1_Refused, Refused__Output as _stillhouse_v1_Refused__Output } from './stillhouse/v1/Refused.ts';
import type { TeacherClient as _stillhouse_v1_TeacherClient, TeacherDefinition as _stillhouse_v1_TeacherDefinition } from './stillhouse/v1/Teacher.ts';
import type { TeacherJobStatus as _stillhouse_v1_TeacherJobStatus, TeacherJobStatus__Output as _stillhouse_v1_TeacherJobStatus__Output } from './stillhouse/v1/TeacherJobStatus.ts';
import type { TeacherStatus as _stillhouse_v1_TeacherStatus, TeacherStatus__Output as _stillhouse_v1_TeacherStatus__Output } from './stillhouse/v1/TeacherStatus.ts';
import type { Waiting as _stillhouse_v1_Waiting, Waiting__Output as _stillhouse_v1_Waiting__Output } from './stillhouse/v1/Waiting.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  stillhouse: {
    v1: {
      Begun: MessageTypeDefinition<_stillhouse_v1_Begun, _stillhouse_v1_Begun__Output>
      Cancel: MessageTypeDefinition<_stillhouse_v1_Cancel, _stillhouse_v1_Cancel__Output>
      GetTeacherStatusRequest: MessageTypeDefinition<_stillhouse_v1_GetTeacherStatusRequest, _stillhouse_v1_GetTeacherStatusRequest__Output>
      LabelBatch: MessageTypeDefinition<_stillhouse_v1_LabelBatch, _stillhouse_v1_LabelBatch__Output>
      Load: MessageTypeDefinition<_stillhouse_v1_Load, _stillhouse_v1_Load__Output>
      Logits: MessageTypeDefinition<_stillhouse_v1_Logits, _stillhouse_v1_Logits__Output>
      LogitsEncoding: EnumTypeDefinition
      LogitsFormat: MessageTypeDefinition<_stillhouse_v1_LogitsFormat, _stillhouse_v1_LogitsFormat__Output>
      LogitsKey: MessageTypeDefinition<_stillhouse_v1_LogitsKey, _stillhouse_v1_LogitsKey__Output>
      LogitsReply: MessageTypeDefinition<_stillhouse_v1_LogitsReply, _stillhouse_v1_LogitsReply__Output>
      LogitsRequest: MessageTypeDefinition<_stillhouse_v1_LogitsRequest, _stillhouse_v1_LogitsRequest__Output>
      Open: MessageTypeDefinition<_stillhouse_v1_Open, _stillhouse_v1_Open__Output>
      Opened: MessageTypeDefinition<_stillhouse_v1_Opened, _stillhouse_v1_Opened__Output>
      PixelShape: MessageTypeDefinition<_stillhouse_v1_PixelShape, _stillhouse_v1_PixelShape__Output>
      Refused: MessageTypeDefinition<_stillhouse_v1_Refused, _stillhouse_v1_Refused__Output>
      Teacher: SubtypeConstructor<typeof grpc.Client, _stillhouse_v1_TeacherClient> & { service: _stillhouse_v1_TeacherDefinition }
      TeacherJobStatus: MessageTypeDefinition<_stillhouse_v1_TeacherJobStatus, _stillhouse_v1_TeacherJobStatus__Output>
      TeacherStatus: MessageTypeDefinition<_stillhouse_v1_TeacherStatus, _stillhouse_v1_TeacherStatus__Output>
      Waiting: MessageTypeDefinition<_stillhouse_v1_Waiting, _stillhouse_v1_Waiting__Output>
    }
  }
}

