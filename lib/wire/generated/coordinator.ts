import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { CancelJobRequest as _stillhouse_v1_CancelJobRequest, CancelJobRequest__Output as _stillhouse_v1_CancelJobRequest__Output } from './stillhouse/v1/CancelJobRequest.ts';
import type { Cluster as _stillhouse_v1_Cluster, Cluster__Output as _stillhouse_v1_Cluster__Output } from './stillhouse/v1/Cluster.ts';
import type { CoordinatorClient as _stillhouse_v1_CoordinatorClient, CoordinatorDefinition as _stillhouse_v1_CoordinatorDefinition } from './stillhouse/v1/Coordinator.ts';
import type { GetClusterRequest as _stillhouse_v1_GetClusterRequest, GetClusterRequest__Output as _stillhouse_v1_GetClusterRequest__Output } from './stillhouse/v1/GetClusterRequest.ts';
import type { GetJobRequest as _stillhouse_v1_GetJobRequest, GetJobRequest__Output as _stillhouse_v1_GetJobRequest__Output } from './stillhouse/v1/GetJobRequest.ts';
import type { GetModelRequest as _stillhouse_v1_GetModelRequest, GetModelRequest__Output as _stillhouse_v1_GetModelRequest__Output } from './stillhouse/v1/GetModelRequest.ts';
import type { GetRouteRequest as _stillhouse_v1_GetRouteRequest, GetRouteRequest__Output as _stillhouse_v1_GetRouteRequest__Output } from './stillhouse/v1/GetRouteRequest.ts';
import type { Job as _stillhouse_v1_Job, Job__Output as _stillhouse_v1_Job__Output } from './stillhouse/v1/Job.ts';
import type { JobEvent as _stillhouse_v1_JobEvent, JobEvent__Output as _stillhouse_v1_JobEvent__Output } from './stillhouse/v1/JobEvent.ts';
import type { ListJobsRequest as _stillhouse_v1_ListJobsRequest, ListJobsRequest__Output as _stillhouse_v1_ListJobsRequest__Output } from './stillhouse/v1/ListJobsRequest.ts';
import type { ListJobsResponse as _stillhouse_v1_ListJobsResponse, ListJobsResponse__Output as _stillhouse_v1_ListJobsResponse__Output } from './stillhouse/v1/ListJobsResponse.ts';
import type { ListModelsRequest as _stillhouse_v1_ListModelsRequest, ListModelsRequest__Output as _stillhouse_v1_ListModelsRequest__Output } from './stillhouse/v1/ListModelsRequest.ts';
import type { ListModelsResponse as _stillhouse_v1_ListModelsResponse, ListModelsResponse__Output as _stillhouse_v1_ListModelsResponse__Output } from './stillhouse/v1/ListModelsResponse.ts';
import type { ListRoutesRequest as _stillhouse_v1_ListRoutesRequest, ListRoutesRequest__Output as _stillhouse_v1_ListRoutesRequest__Output } from './stillhouse/v1/ListRoutesRequest.ts';
import type { ListRoutesResponse as _stillhouse_v1_ListRoutesResponse, ListRoutesResponse__Output as _stillhouse_v1_ListRoutesResponse__Output } from './stillhouse/v1/ListRoutesResponse.ts';
import type { Member as _stillhouse_v1_Member, Member__Output as _stillhouse_v1_Member__Output } from './stillhouse/v1/Member.ts';
import type { Model as _stillhouse_v1_Model, Model__Output as _stillhouse_v1_Model__Output } from './stillhouse/v1/Model.ts';
import type { Phase as _stillhouse_v1_Phase, Phase__Output as _stillhouse_v1_Phase__Output } from './stillhouse/v1/Phase.ts';
import type { PutRouteRequest as _stillhouse_v1_PutRouteRequest, PutRouteRequest__Output as _stillhouse_v1_PutRouteRequest__Output } from './stillhouse/v1/PutRouteRequest.ts';
import type { RollbackRouteRequest as _stillhouse_v1_RollbackRouteRequest, RollbackRouteRequest__Output as _stillhouse_v1_RollbackRouteRequest__Output } from './stillhouse/v1/RollbackRouteRequest.ts';
import type { Route as _stillhouse_v1_Route, Route__Output as _stillhouse_v1_Route__Output } from './stillhouse/v1/Route.ts';
import type { RouteLeg as _stillhouse_v1_RouteLeg, RouteLeg__Output as _stillhouse_v1_RouteLeg__Output } from './stillhouse/v1/RouteLeg.ts';
import type { RuleResult as _stillhouse_v1_RuleResult, RuleResult__Output as _stillhouse_v1_RuleResult__Output } from './stillhouse/v1/RuleResult.ts';
import type { SkippedSample as _stillhouse_v1_SkippedSample, SkippedSample__Output as _stillhouse_v1_SkippedSample__Output } from './stillhouse/v1/SkippedSample.ts';
import type { SubmitJobRequest as _stillhouse_v1_SubmitJobRequest, SubmitJobRequest__Output as _stillhouse_v1_SubmitJobRequest__Output } from './stillhouse/v1/SubmitJobRequest.ts';
import type { TeacherShare as _stillhouse_v1_TeacherShare, TeacherShare__Output as _stillhouse_v1_TeacherShare__Output } from './stillhouse/v1/TeacherShare.ts';
import type { WatchJobRequest as _stillhouse_v1_WatchJobRequest, WatchJobRequest__Output as _stillhouse_v1_WatchJobRequest__Output } from './stillhouse/v1/WatchJobRequest.ts';
import type { WorkerShare as _stillhouse_v1_WorkerShare, WorkerShare__Output as _stillhouse_v1_WorkerShare__Output } from './stillhouse/v1/WorkerShare.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  stillhouse: {
    v1: {
      CancelJobRequest: MessageTypeDefinition<_stillhouse_v1_CancelJobRequest, _stillhouse_v1_CancelJobRequest__Output>
      Cluster: MessageTypeDefinition<_stillhouse_v1_Cluster, _stillhouse_v1_Cluster__Output>
      Coordinator: SubtypeConstructor<typeof grpc.Client, _stillhouse_v1_CoordinatorClient> & { service: _stillhouse_v1_CoordinatorDefinition }
      GetClusterRequest: MessageTypeDefinition<_stillhouse_v1_GetClusterRequest, _stillhouse_v1_GetClusterRequest__Output>
      GetJobRequest: MessageTypeDefinition<_stillhouse_v1_GetJobRequest, _stillhouse_v1_GetJobRequest__Output>
      GetModelRequest: MessageTypeDefinition<_stillhouse_v1_GetModelRequest, _stillhouse_v1_GetModelRequest__Output>
      GetRouteRequest: MessageTypeDefinition<_stillhouse_v1_GetRouteRequest, _stillhouse_v1_GetRouteRequest__Output>
      Job: MessageTypeDefinition<_stillhouse_v1_Job, _stillhouse_v1_Job__Output>
      JobEvent: MessageTypeDefinition<_stillhouse_v1_JobEvent, _stillhouse_v1_JobEvent__Output>
      JobScope: EnumTypeDefinition
      JobState: EnumTypeDefinition
      ListJobsRequest: MessageTypeDefinition<_stillhouse_v1_ListJobsRequest, _stillhouse_v1_ListJobsRequest__Output>
      ListJobsResponse: MessageTypeDefinition<_stillhouse_v1_ListJobsResponse, _stillhouse_v1_ListJobsResponse__Output>
      ListModelsRequest: MessageTypeDefinition<_stillhouse_v1_ListModelsRequest, _stillhouse_v1_ListModelsRequest__Output>
      ListModelsResponse: MessageTypeDefinition<_stillhouse_v1_ListModelsResponse, _stillhouse_v1_ListModelsResponse__Output>
      ListRoutesRequest: MessageTypeDefinition<_stillhouse_v1_ListRoutesRequest, _stillhouse_v1_ListRoutesRequest__Output>
      ListRoutesResponse: MessageTypeDefinition<_stillhouse_v1_ListRoutesResponse, _stillhouse_v1_ListRoutesResponse__Output>
      Member: MessageTypeDefinition<_stillhouse_v1_Member, _stillhouse_v1_Member__Output>
      Model: MessageTypeDefinition<_stillhouse_v1_Model, _stillhouse_v1_Model__Output>
      Phase: MessageTypeDefinition<_stillhouse_v1_Phase, _stillhouse_v1_Phase__Output>
      PhaseKind: EnumTypeDefinition
      PhaseState: EnumTypeDefinition
      PutRouteRequest: MessageTypeDefinition<_stillhouse_v1_PutRouteRequest, _stillhouse_v1_PutRouteRequest__Output>
      RollbackRouteRequest: MessageTypeDefinition<_stillhouse_v1_RollbackRouteRequest, _stillhouse_v1_RollbackRouteRequest__Output>
      Route: MessageTypeDefinition<_stillhouse_v1_Route, _stillhouse_v1_Route__Output>
      RouteLeg: MessageTypeDefinition<_stillhouse_v1_RouteLeg, _stillhouse_v1_RouteLeg__Output>
      RuleResult: MessageTypeDefinition<_stillhouse_v1_RuleResult, _stillhouse_v1_RuleResult__Output>
      SkippedSample: MessageTypeDefinition<_stillhouse_v1_SkippedSample, _stillhouse_v1_SkippedSample__Output>
      SubmitJobRequest: MessageTypeDefinition<_stillhouse_v1_SubmitJobRequest, _stillhouse_v1_SubmitJobRequest__Output>
      TeacherShare: MessageTypeDefinition<_stillhouse_v1_TeacherShare, _stillhouse_v1_TeacherShare__Output>
      WatchJobRequest: MessageTypeDefinition<_stillhouse_v1_WatchJobRequest, _stillhouse_v1_WatchJobRequest__Output>
      WorkerShare: MessageTypeDefinition<_stillhouse_v1_WorkerShare, _stillhouse_v1_WorkerShare__Output>
    }
  }
}

