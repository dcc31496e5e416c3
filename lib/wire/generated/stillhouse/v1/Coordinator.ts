// Original file: proto/stillhouse/v1/coordinator.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { CancelJobRequest as _stillhouse_v1_CancelJobRequest, CancelJobRequest__Output as _stillhouse_v1_CancelJobRequest__Output } from '../../stillhouse/v1/CancelJobRequest.ts';
import type { Cluster as _stillhouse_v1_Cluster, Cluster__Output as _stillhouse_v1_Cluster__Output } from '../../stillhouse/v1/Cluster.ts';
import type { GetClusterRequest as _stillhouse_v1_GetClusterRequest, GetClusterRequest__Output as _stillhouse_v1_GetClusterRequest__Output } from '../../stillhouse/v1/GetClusterRequest.ts';
import type { GetJobRequest as _stillhouse_v1_GetJobRequest, GetJobRequest__Output as _stillhouse_v1_GetJobRequest__Output } from '../../stillhouse/v1/GetJobRequest.ts';
import type { GetModelRequest as _stillhouse_v1_GetModelRequest, GetModelRequest__Output as _stillhouse_v1_GetModelRequest__Output } from '../../stillhouse/v1/GetModelRequest.ts';
import type { GetRouteRequest as _stillhouse_v1_GetRouteRequest, GetRouteRequest__Output as _stillhouse_v1_GetRouteRequest__Output } from '../../stillhouse/v1/GetRouteRequest.ts';
import type { Job as _stillhouse_v1_Job, Job__Output as _stillhouse_v1_Job__Output } from '../../stillhouse/v1/Job.ts';
import type { JobEvent as _stillhouse_v1_JobEvent, JobEvent__Output as _stillhouse_v1_JobEvent__Output } from '../../stillhouse/v1/JobEvent.ts';
import type { ListJobsRequest as _stillhouse_v1_ListJobsRequest, ListJobsRequest__Output as _stillhouse_v1_ListJobsRequest__Output } from '../../stillhouse/v1/ListJobsRequest.ts';
import type { ListJobsResponse as _stillhouse_v1_ListJobsResponse, ListJobsResponse__Output as _stillhouse_v1_ListJobsResponse__Output } from '../../stillhouse/v1/ListJobsResponse.ts';
import type { ListModelsRequest as _stillhouse_v1_ListModelsRequest, ListModelsRequest__Output as _stillhouse_v1_ListModelsRequest__Output } from '../../stillhouse/v1/ListModelsRequest.ts';
import type { ListModelsResponse as _stillhouse_v1_ListModelsResponse, ListModelsResponse__Output as _stillhouse_v1_ListModelsResponse__Output } from '../../stillhouse/v1/ListModelsResponse.ts';
import type { ListRoutesRequest as _stillhouse_v1_ListRoutesRequest, ListRoutesRequest__Output as _stillhouse_v1_ListRoutesRequest__Output } from '../../stillhouse/v1/ListRoutesRequest.ts';
import type { ListRoutesResponse as _stillhouse_v1_ListRoutesResponse, ListRoutesResponse__Output as _stillhouse_v1_ListRoutesResponse__Output } from '../../stillhouse/v1/ListRoutesResponse.ts';
import type { Model as _stillhouse_v1_Model, Model__Output as _stillhouse_v1_Model__Output } from '../../stillhouse/v1/Model.ts';
import type { PutRouteRequest as _stillhouse_v1_PutRouteRequest, PutRouteRequest__Output as _stillhouse_v1_PutRouteRequest__Output } from '../../stillhouse/v1/PutRouteRequest.ts';
import type { RollbackRouteRequest as _stillhouse_v1_RollbackRouteRequest, RollbackRouteRequest__Output as _stillhouse_v1_RollbackRouteRequest__Output } from '../../stillhouse/v1/RollbackRouteRequest.ts';
import type { Route as _stillhouse_v1_Route, Route__Output as _stillhouse_v1_Route__Output } from '../../stillhouse/v1/Route.ts';
import type { SubmitJobRequest as _stillhouse_v1_SubmitJobRequest, SubmitJobRequest__Output as _stillhouse_v1_SubmitJobRequest__Output } from '../../stillhouse/v1/SubmitJobRequest.ts';
import type { WatchJobRequest as _stillhouse_v1_WatchJobRequest, WatchJobRequest__Output as _stillhouse_v1_WatchJobRequest__Output } from '../../stillhouse/v1/WatchJobRequest.ts';

export interface CoordinatorClient extends grpc.Client {
  CancelJob(argument: _stillhouse_v1_CancelJobRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  CancelJob(argument: _stillhouse_v1_CancelJobRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  CancelJob(argument: _stillhouse_v1_CancelJobRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  CancelJob(argument: _stillhouse_v1_CancelJobRequest, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  cancelJob(argument: _stillhouse_v1_CancelJobRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  cancelJob(argument: _stillhouse_v1_CancelJobRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  cancelJob(argument: _stillhouse_v1_CancelJobRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  cancelJob(argument: _stillhouse_v1_CancelJobRequest, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  
  GetCluster(argument: _stillhouse_v1_GetClusterRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Cluster__Output>): grpc.ClientUnaryCall;
  GetCluster(argument: _stillhouse_v1_GetClusterRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Cluster__Output>): grpc.ClientUnaryCall;
  GetCluster(argument: _stillhouse_v1_GetClusterRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Cluster__Output>): grpc.ClientUnaryCall;
  GetCluster(argument: _stillhouse_v1_GetClusterRequest, callback: grpc.requestCallback<_stillhouse_v1_Cluster__Output>): grpc.ClientUnaryCall;
  getCluster(argument: _stillhouse_v1_GetClusterRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Cluster__Output>): grpc.ClientUnaryCall;
  getCluster(argument: _stillhouse_v1_GetClusterRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Cluster__Output>): grpc.ClientUnaryCall;
  getCluster(argument: _stillhouse_v1_GetClusterRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Cluster__Output>): grpc.ClientUnaryCall;
  getCluster(argument: _stillhouse_v1_GetClusterRequest, callback: grpc.requestCallback<_stillhouse_v1_Cluster__Output>): grpc.ClientUnaryCall;
  
  GetJob(argument: _stillhouse_v1_GetJobRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  GetJob(argument: _stillhouse_v1_GetJobRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  GetJob(argument: _stillhouse_v1_GetJobRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  GetJob(argument: _stillhouse_v1_GetJobRequest, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  getJob(argument: _stillhouse_v1_GetJobRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  getJob(argument: _stillhouse_v1_GetJobRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  getJob(argument: _stillhouse_v1_GetJobRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  getJob(argument: _stillhouse_v1_GetJobRequest, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  
  GetModel(argument: _stillhouse_v1_GetModelRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Model__Output>): grpc.ClientUnaryCall;
  GetModel(argument: _stillhouse_v1_GetModelRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Model__Output>): grpc.ClientUnaryCall;
  GetModel(argument: _stillhouse_v1_GetModelRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Model__Output>): grpc.ClientUnaryCall;
  GetModel(argument: _stillhouse_v1_GetModelRequest, callback: grpc.requestCallback<_stillhouse_v1_Model__Output>): grpc.ClientUnaryCall;
  getModel(argument: _stillhouse_v1_GetModelRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Model__Output>): grpc.ClientUnaryCall;
  getModel(argument: _stillhouse_v1_GetModelRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Model__Output>): grpc.ClientUnaryCall;
  getModel(argument: _stillhouse_v1_GetModelRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Model__Output>): grpc.ClientUnaryCall;
  getModel(argument: _stillhouse_v1_GetModelRequest, callback: grpc.requestCallback<_stillhouse_v1_Model__Output>): grpc.ClientUnaryCall;
  
  GetRoute(argument: _stillhouse_v1_GetRouteRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  GetRoute(argument: _stillhouse_v1_GetRouteRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  GetRoute(argument: _stillhouse_v1_GetRouteRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  GetRoute(argument: _stillhouse_v1_GetRouteRequest, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  getRoute(argument: _stillhouse_v1_GetRouteRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  getRoute(argument: _stillhouse_v1_GetRouteRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  getRoute(argument: _stillhouse_v1_GetRouteRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  getRoute(argument: _stillhouse_v1_GetRouteRequest, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  
  ListJobs(argument: _stillhouse_v1_ListJobsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_ListJobsResponse__Output>): grpc.ClientUnaryCall;
  ListJobs(argument: _stillhouse_v1_ListJobsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_ListJobsResponse__Output>): grpc.ClientUnaryCall;
  ListJobs(argument: _stillhouse_v1_ListJobsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_ListJobsResponse__Output>): grpc.ClientUnaryCall;
  ListJobs(argument: _stillhouse_v1_ListJobsRequest, callback: grpc.requestCallback<_stillhouse_v1_ListJobsResponse__Output>): grpc.ClientUnaryCall;
  listJobs(argument: _stillhouse_v1_ListJobsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_ListJobsResponse__Output>): grpc.ClientUnaryCall;
  listJobs(argument: _stillhouse_v1_ListJobsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_ListJobsResponse__Output>): grpc.ClientUnaryCall;
  listJobs(argument: _stillhouse_v1_ListJobsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_ListJobsResponse__Output>): grpc.ClientUnaryCall;
  listJobs(argument: _stillhouse_v1_ListJobsRequest, callback: grpc.requestCallback<_stillhouse_v1_ListJobsResponse__Output>): grpc.ClientUnaryCall;
  
  ListModels(argument: _stillhouse_v1_ListModelsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_ListModelsResponse__Output>): grpc.ClientUnaryCall;
  ListModels(argument: _stillhouse_v1_ListModelsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_ListModelsResponse__Output>): grpc.ClientUnaryCall;
  ListModels(argument: _stillhouse_v1_ListModelsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_ListModelsResponse__Output>): grpc.ClientUnaryCall;
  ListModels(argument: _stillhouse_v1_ListModelsRequest, callback: grpc.requestCallback<_stillhouse_v1_ListModelsResponse__Output>): grpc.ClientUnaryCall;
  listModels(argument: _stillhouse_v1_ListModelsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_ListModelsResponse__Output>): grpc.ClientUnaryCall;
  listModels(argument: _stillhouse_v1_ListModelsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_ListModelsResponse__Output>): grpc.ClientUnaryCall;
  listModels(argument: _stillhouse_v1_ListModelsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_ListModelsResponse__Output>): grpc.ClientUnaryCall;
  listModels(argument: _stillhouse_v1_ListModelsRequest, callback: grpc.requestCallback<_stillhouse_v1_ListModelsResponse__Output>): grpc.ClientUnaryCall;
  
  ListRoutes(argument: _stillhouse_v1_ListRoutesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_ListRoutesResponse__Output>): grpc.ClientUnaryCall;
  ListRoutes(argument: _stillhouse_v1_ListRoutesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_ListRoutesResponse__Output>): grpc.ClientUnaryCall;
  ListRoutes(argument: _stillhouse_v1_ListRoutesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_ListRoutesResponse__Output>): grpc.ClientUnaryCall;
  ListRoutes(argument: _stillhouse_v1_ListRoutesRequest, callback: grpc.requestCallback<_stillhouse_v1_ListRoutesResponse__Output>): grpc.ClientUnaryCall;
  listRoutes(argument: _stillhouse_v1_ListRoutesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_ListRoutesResponse__Output>): grpc.ClientUnaryCall;
  listRoutes(argument: _stillhouse_v1_ListRoutesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_ListRoutesResponse__Output>): grpc.ClientUnaryCall;
  listRoutes(argument: _stillhouse_v1_ListRoutesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_ListRoutesResponse__Output>): grpc.ClientUnaryCall;
  listRoutes(argument: _stillhouse_v1_ListRoutesRequest, callback: grpc.requestCallback<_stillhouse_v1_ListRoutesResponse__Output>): grpc.ClientUnaryCall;
  
  PutRoute(argument: _stillhouse_v1_PutRouteRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  PutRoute(argument: _stillhouse_v1_PutRouteRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  PutRoute(argument: _stillhouse_v1_PutRouteRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  PutRoute(argument: _stillhouse_v1_PutRouteRequest, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  putRoute(argument: _stillhouse_v1_PutRouteRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  putRoute(argument: _stillhouse_v1_PutRouteRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  putRoute(argument: _stillhouse_v1_PutRouteRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  putRoute(argument: _stillhouse_v1_PutRouteRequest, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  
  RollbackRoute(argument: _stillhouse_v1_RollbackRouteRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  RollbackRoute(argument: _stillhouse_v1_RollbackRouteRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  RollbackRoute(argument: _stillhouse_v1_RollbackRouteRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  RollbackRoute(argument: _stillhouse_v1_RollbackRouteRequest, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  rollbackRoute(argument: _stillhouse_v1_RollbackRouteRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  rollbackRoute(argument: _stillhouse_v1_RollbackRouteRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  rollbackRoute(argument: _stillhouse_v1_RollbackRouteRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  rollbackRoute(argument: _stillhouse_v1_RollbackRouteRequest, callback: grpc.requestCallback<_stillhouse_v1_Route__Output>): grpc.ClientUnaryCall;
  
  SubmitJob(argument: _stillhouse_v1_SubmitJobRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  SubmitJob(argument: _stillhouse_v1_SubmitJobRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  SubmitJob(argument: _stillhouse_v1_SubmitJobRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  SubmitJob(argument: _stillhouse_v1_SubmitJobRequest, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  submitJob(argument: _stillhouse_v1_SubmitJobRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  submitJob(argument: _stillhouse_v1_SubmitJobRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  submitJob(argument: _stillhouse_v1_SubmitJobRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  submitJob(argument: _stillhouse_v1_SubmitJobRequest, callback: grpc.requestCallback<_stillhouse_v1_Job__Output>): grpc.ClientUnaryCall;
  
  WatchJob(argument: _stillhouse_v1_WatchJobRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_stillhouse_v1_JobEvent__Output>;
  WatchJob(argument: _stillhouse_v1_WatchJobRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_stillhouse_v1_JobEvent__Output>;
  watchJob(argument: _stillhouse_v1_WatchJobRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_stillhouse_v1_JobEvent__Output>;
  watchJob(argument: _stillhouse_v1_WatchJobRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_stillhouse_v1_JobEvent__Output>;
  
}

export interface CoordinatorHandlers extends grpc.UntypedServiceImplementation {
  CancelJob: grpc.handleUnaryCall<_stillhouse_v1_CancelJobRequest__Output, _stillhouse_v1_Job>;
  
  GetCluster: grpc.handleUnaryCall<_stillhouse_v1_GetClusterRequest__Output, _stillhouse_v1_Cluster>;
  
  GetJob: grpc.handleUnaryCall<_stillhouse_v1_GetJobRequest__Output, _stillhouse_v1_Job>;
  
  GetModel: grpc.handleUnaryCall<_stillhouse_v1_GetModelRequest__Output, _stillhouse_v1_Model>;
  
  GetRoute: grpc.handleUnaryCall<_stillhouse_v1_GetRouteRequest__Output, _stillhouse_v1_Route>;
  
  ListJobs: grpc.handleUnaryCall<_stillhouse_v1_ListJobsRequest__Output, _stillhouse_v1_ListJobsResponse>;
  
  ListModels: grpc.handleUnaryCall<_stillhouse_v1_ListModelsRequest__Output, _stillhouse_v1_ListModelsResponse>;
  
  ListRoutes: grpc.handleUnaryCall<_stillhouse_v1_ListRoutesRequest__Output, _stillhouse_v1_ListRoutesResponse>;
  
  PutRoute: grpc.handleUnaryCall<_stillhouse_v1_PutRouteRequest__Output, _stillhouse_v1_Route>;
  
  RollbackRoute: grpc.handleUnaryCall<_stillhouse_v1_RollbackRouteRequest__Output, _stillhouse_v1_Route>;
  
  SubmitJob: grpc.handleUnaryCall<_stillhouse_v1_SubmitJobRequest__Output, _stillhouse_v1_Job>;
  
  WatchJob: grpc.handleServerStreamingCall<_stillhouse_v1_WatchJobRequest__Output, _stillhouse_v1_JobEvent>;
  
}

export interface CoordinatorDefinition extends grpc.ServiceDefinition {
  CancelJob: MethodDefinition<_stillhouse_v1_CancelJobRequest, _stillhouse_v1_Job, _stillhouse_v1_CancelJobRequest__Output, _stillhouse_v1_Job__Output>
  GetCluster: MethodDefinition<_stillhouse_v1_GetClusterRequest, _stillhouse_v1_Cluster, _stillhouse_v1_GetClusterRequest__Output, _stillhouse_v1_Cluster__Output>
  GetJob: MethodDefinition<_stillhouse_v1_GetJobRequest, _stillhouse_v1_Job, _stillhouse_v1_GetJobRequest__Output, _stillhouse_v1_Job__Output>
  GetModel: MethodDefinition<_stillhouse_v1_GetModelRequest, _stillhouse_v1_Model, _stillhouse_v1_GetModelRequest__Output, _stillhouse_v1_Model__Output>
  GetRoute: MethodDefinition<_stillhouse_v1_GetRouteRequest, _stillhouse_v1_Route, _stillhouse_v1_GetRouteRequest__Output, _stillhouse_v1_Route__Output>
  ListJobs: MethodDefinition<_stillhouse_v1_ListJobsRequest, _stillhouse_v1_ListJobsResponse, _stillhouse_v1_ListJobsRequest__Output, _stillhouse_v1_ListJobsResponse__Output>
  ListModels: MethodDefinition<_stillhouse_v1_ListModelsRequest, _stillhouse_v1_ListModelsResponse, _stillhouse_v1_ListModelsRequest__Output, _stillhouse_v1_ListModelsResponse__Output>
  ListRoutes: MethodDefinition<_stillhouse_v1_ListRoutesRequest, _stillhouse_v1_ListRoutesResponse, _stillhouse_v1_ListRoutesRequest__Output, _stillhouse_v1_ListRoutesResponse__Output>
  PutRoute: MethodDefinition<_stillhouse_v1_PutRouteRequest, _stillhouse_v1_Route, _stillhouse_v1_PutRouteRequest__Output, _stillhouse_v1_Route__Output>
  RollbackRoute: MethodDefinition<_stillhouse_v1_RollbackRouteRequest, _stillhouse_v1_Route, _stillhouse_v1_RollbackRouteRequest__Output, _stillhouse_v1_Route__Output>
  SubmitJob: MethodDefinition<_stillhouse_v1_SubmitJobRequest, _stillhouse_v1_Job, _stillhouse_v1_SubmitJobRequest__Output, _stillhouse_v1_Job__Output>
  WatchJob: MethodDefinition<_stillhouse_v1_WatchJobRequest, _stillhouse_v1_JobEvent, _stillhouse_v1_WatchJobRequest__Output, _stillhouse_v1_JobEvent__Output>
}
