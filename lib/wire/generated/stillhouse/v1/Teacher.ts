// Original file: proto/stillhouse/v1/teacher.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { GetTeacherStatusRequest as _stillhouse_v1_GetTeacherStatusRequest, GetTeacherStatusRequest__Output as _stillhouse_v1_GetTeacherStatusRequest__Output } from '../../stillhouse/v1/GetTeacherStatusRequest.ts';
import type { LogitsReply as _stillhouse_v1_LogitsReply, LogitsReply__Output as _stillhouse_v1_LogitsReply__Output } from '../../stillhouse/v1/LogitsReply.ts';
import type { LogitsRequest as _stillhouse_v1_LogitsRequest, LogitsRequest__Output as _stillhouse_v1_LogitsRequest__Output } from '../../stillhouse/v1/LogitsRequest.ts';
import type { TeacherStatus as _stillhouse_v1_TeacherStatus, TeacherStatus__Output as _stillhouse_v1_TeacherStatus__Output } from '../../stillhouse/v1/TeacherStatus.ts';

export interface TeacherClient extends grpc.Client {
  GetTeacherStatus(argument: _stillhouse_v1_GetTeacherStatusRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_TeacherStatus__Output>): grpc.ClientUnaryCall;
  GetTeacherStatus(argument: _stillhouse_v1_GetTeacherStatusRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_TeacherStatus__Output>): grpc.ClientUnaryCall;
  GetTeacherStatus(argument: _stillhouse_v1_GetTeacherStatusRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_TeacherStatus__Output>): grpc.ClientUnaryCall;
  GetTeacherStatus(argument: _stillhouse_v1_GetTeacherStatusRequest, callback: grpc.requestCallback<_stillhouse_v1_TeacherStatus__Output>): grpc.ClientUnaryCall;
  getTeacherStatus(argument: _stillhouse_v1_GetTeacherStatusRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_TeacherStatus__Output>): grpc.ClientUnaryCall;
  getTeacherStatus(argument: _stillhouse_v1_GetTeacherStatusRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_TeacherStatus__Output>): grpc.ClientUnaryCall;
  getTeacherStatus(argument: _stillhouse_v1_GetTeacherStatusRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_TeacherStatus__Output>): grpc.ClientUnaryCall;
  getTeacherStatus(argument: _stillhouse_v1_GetTeacherStatusRequest, callback: grpc.requestCallback<_stillhouse_v1_TeacherStatus__Output>): grpc.ClientUnaryCall;
  
  StreamLogits(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_stillhouse_v1_LogitsRequest, _stillhouse_v1_LogitsReply__Output>;
  StreamLogits(options?: grpc.CallOptions): grpc.ClientDuplexStream<_stillhouse_v1_LogitsRequest, _stillhouse_v1_LogitsReply__Output>;
  streamLogits(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_stillhouse_v1_LogitsRequest, _stillhouse_v1_LogitsReply__Output>;
  streamLogits(options?: grpc.CallOptions): grpc.ClientDuplexStream<_stillhouse_v1_LogitsRequest, _stillhouse_v1_LogitsReply__Output>;
  
}

export interface TeacherHandlers extends grpc.UntypedServiceImplementation {
  GetTeacherStatus: grpc.handleUnaryCall<_stillhouse_v1_GetTeacherStatusRequest__Output, _stillhouse_v1_TeacherStatus>;
  
  StreamLogits: grpc.handleBidiStreamingCall<_stillhouse_v1_LogitsRequest__Output, _stillhouse_v1_LogitsReply>;
  
}

export interface TeacherDefinition extends grpc.ServiceDefinition {
  GetTeacherStatus: MethodDefinition<_stillhouse_v1_GetTeacherStatusRequest, _stillhouse_v1_TeacherStatus, _stillhouse_v1_GetTeacherStatusRequest__Output, _stillhouse_v1_TeacherStatus__Output>
  StreamLogits: MethodDefinition<_stillhouse_v1_LogitsRequest, _stillhouse_v1_LogitsReply, _stillhouse_v1_LogitsRequest__Output, _stillhouse_v1_LogitsReply__Output>
}
