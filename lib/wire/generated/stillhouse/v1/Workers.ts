// Original file: proto/stillhouse/v1/workers.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { CoordinatorMessage as _stillhouse_v1_CoordinatorMessage, CoordinatorMessage__Output as _stillhouse_v1_CoordinatorMessage__Output } from '../../stillhouse/v1/CoordinatorMessage.ts';
import type { WorkerMessage as _stillhouse_v1_WorkerMessage, WorkerMessage__Output as _stillhouse_v1_WorkerMessage__Output } from '../../stillhouse/v1/WorkerMessage.ts';

export interface WorkersClient extends grpc.Client {
  Attend(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_stillhouse_v1_WorkerMessage, _stillhouse_v1_CoordinatorMessage__Output>;
  Attend(options?: grpc.CallOptions): grpc.ClientDuplexStream<_stillhouse_v1_WorkerMessage, _stillhouse_v1_CoordinatorMessage__Output>;
  attend(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_stillhouse_v1_WorkerMessage, _stillhouse_v1_CoordinatorMessage__Output>;
  attend(options?: grpc.CallOptions): grpc.ClientDuplexStream<_stillhouse_v1_WorkerMessage, _stillhouse_v1_CoordinatorMessage__Output>;
  
}

export interface WorkersHandlers extends grpc.UntypedServiceImplementation {
  Attend: grpc.handleBidiStreamingCall<_stillhouse_v1_WorkerMessage__Output, _stillhouse_v1_CoordinatorMessage>;
  
}

export interface WorkersDefinition extends grpc.ServiceDefinition {
  Attend: MethodDefinition<_stillhouse_v1_WorkerMessage, _stillhouse_v1_CoordinatorMessage, _stillhouse_v1_WorkerMessage__Output, _stillhouse_v1_CoordinatorMessage__Output>
}
