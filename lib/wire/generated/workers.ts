import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { BeginTask as _stillhouse_v1_BeginTask, BeginTask__Output as _stillhouse_v1_BeginTask__Output } from './stillhouse/v1/BeginTask.ts';
import type { CancelJobRequest as _stillhouse_v1_CancelJobRequest, CancelJobRequest__Output as _stillhouse_v1_CancelJobRequest__Output } from './stillhouse/v1/CancelJobRequest.ts';
import type { CancelTask as _stillhouse_v1_CancelTask, CancelTask__Output as _stillhouse_v1_CancelTask__Output } from './stillhouse/v1/CancelTask.ts';
import type { Cluster as _stillhouse_v1_Cluster, Cluster__Output as _stillhouse_v1_Cluster__Output } from './stillhouse/v1/Cluster.ts';
import type { CoordinatorClient as _stillhouse_v1_CoordinatorClient, CoordinatorDefinition as _stillhouse_v1_CoordinatorDefinition } from './stillhouse/v1/Coordinator.ts';
import type { CoordinatorMessage as _stillhouse_v1_CoordinatorMessage, CoordinatorMessage__Output as _stillhouse_v1_CoordinatorMessage__Output } from './stillhouse/v1/CoordinatorMessage.ts';
import type { Draining as _stillhouse_v1_Draining, Draining__Output as _stillhouse_v1_Draining__Output } from './stillhouse/v1/Draining.ts';
import type { EvaluateRoute as _stillhouse_v1_EvaluateRoute, EvaluateRoute__Output as _stillhouse_v1_EvaluateRoute__Output } from './stillhouse/v1/EvaluateRoute.ts';
import type { EvaluateTeacher as _stillhouse_v1_EvaluateTeacher, EvaluateTeacher__Output as _stillhouse_v1_EvaluateTeacher__Output } from './stillhouse/v1/EvaluateTeacher.ts';
import type { GetClusterRequest as _stillhouse_v1_GetClusterRequest, GetClusterRequest__Output as _stillhouse_v1_GetClusterRequest__Output } from './stillhouse/v1/GetClusterRequest.ts';
import type { GetJobRequest as _stillhouse_v1_GetJobRequest, GetJobRequest__Output as _stillhouse_v1_GetJobRequest__Output } from './stillhouse/v1/GetJobRequest.ts';
import type { GetModelRequest as _stillhouse_v1_GetModelRequest, GetModelRequest__Output as _stillhouse_v1_GetModelRequest__Output } from './stillhouse/v1/GetModelRequest.ts';
import type { GetRouteRequest as _stillhouse_v1_GetRouteRequest, GetRouteRequest__Output as _stillhouse_v1_GetRouteRequest__Output } from './stillhouse/v1/GetRouteRequest.ts';
import type { Hello as _stillhouse_v1_Hello, Hello__Output as _stillhouse_v1_Hello__Output } from './stillhouse/v1/Hello.ts';
import type { Job as _stillhouse_v1_Job, Job__Output as _stillhouse_v1_Job__Output } from './stillhouse/v1/Job.ts';
import type { JobEvent as _stillhouse_v1_JobEvent, JobEvent__Output as _stillhouse_v1_JobEvent__Output } from './stillhouse/v1/JobEvent.ts';
import type { LabelImages as _stillhouse_v1_LabelImages, LabelImages__Output as _stillhouse_v1_LabelImages__Output } from './stillhouse/v1/LabelImages.ts';
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
import type { ServeModels as _stillhouse_v1_ServeModels, ServeModels__Output as _stillhouse_v1_ServeModels__Output } from './stillhouse/v1/ServeModels.ts';
import type { ServeTeacher as _stillhouse_v1_ServeTeacher, ServeTeacher__Output as _stillhouse_v1_ServeTeacher__Output } from './stillhouse/v1/ServeTeacher.ts';
import type { ServedModel as _stillhouse_v1_ServedModel, ServedModel__Output as _stillhouse_v1_ServedModel__Output } from './stillhouse/v1/ServedModel.ts';
import type { SkippedSample as _stillhouse_v1_SkippedSample, SkippedSample__Output as _stillhouse_v1_SkippedSample__Output } from './stillhouse/v1/SkippedSample.ts';
import type { StartTask as _stillhouse_v1_StartTask, StartTask__Output as _stillhouse_v1_StartTask__Output } from './stillhouse/v1/StartTask.ts';
import type { SubmitJobRequest as _stillhouse_v1_SubmitJobRequest, SubmitJobRequest__Output as _stillhouse_v1_SubmitJobRequest__Output } from './stillhouse/v1/SubmitJobRequest.ts';
import type { TaskDone as _stillhouse_v1_TaskDone, TaskDone__Output as _stillhouse_v1_TaskDone__Output } from './stillhouse/v1/TaskDone.ts';
import type { TaskFailed as _stillhouse_v1_TaskFailed, TaskFailed__Output as _stillhouse_v1_TaskFailed__Output } from './stillhouse/v1/TaskFailed.ts';
import type { TaskProgress as _stillhouse_v1_TaskProgress, TaskProgress__Output as _stillhouse_v1_TaskProgress__Output } from './stillhouse/v1/TaskProgress.ts';
import type { TaskReady as _stillhouse_v1_TaskReady, TaskReady__Output as _stillhouse_v1_TaskReady__Output } from './stillhouse/v1/TaskReady.ts';
import type { TaughtModel as _stillhouse_v1_TaughtModel, TaughtModel__Output as _stillhouse_v1_TaughtModel__Output } from './stillhouse/v1/TaughtModel.ts';
import type { TeacherEndpoint as _stillhouse_v1_TeacherEndpoint, TeacherEndpoint__Output as _stillhouse_v1_TeacherEndpoint__Output } from './stillhouse/v1/TeacherEndpoint.ts';
import type { TeacherShare as _stillhouse_v1_TeacherShare, TeacherShare__Output as _stillhouse_v1_TeacherShare__Output } from './stillhouse/v1/TeacherShare.ts';
import type { TrainStudent as _stillhouse_v1_TrainStudent, TrainStudent__Output as _stillhouse_v1_TrainStudent__Output } from './stillhouse/v1/TrainStudent.ts';
import type { TrainTeacher as _stillhouse_v1_TrainTeacher, TrainTeacher__Output as _stillhouse_v1_TrainTeacher__Output } from './stillhouse/v1/TrainTeacher.ts';
import type { UpdateTeachers as _stillhouse_v1_UpdateTeachers, UpdateTeachers__Output as _stillhouse_v1_UpdateTeachers__Output } from './stillhouse/v1/UpdateTeachers.ts';
import type { View as _stillhouse_v1_View, View__Output as _stillhouse_v1_View__Output } from './stillhouse/v1/View.ts';
import type { ViewMember as _stillhouse_v1_ViewMember, ViewMember__Output as _stillhouse_v1_ViewMember__Output } from './stillhouse/v1/ViewMember.ts';
import type { WatchJobRequest as _stillhouse_v1_WatchJobRequest, WatchJobRequest__Output as _stillhouse_v1_WatchJobRequest__Output } from './stillhouse/v1/WatchJobRequest.ts';
import type { Welcome as _stillhouse_v1_Welcome, Welcome__Output as _stillhouse_v1_Welcome__Output } from './stillhouse/v1/Welcome.ts';
import type { WorkerMessage as _stillhouse_v1_WorkerMessage, WorkerMessage__Output as _stillhouse_v1_WorkerMessage__Output } from './stillhouse/v1/WorkerMessage.ts';
import type { WorkerShare as _stillhouse_v1_WorkerShare, WorkerShare__Output as _stillhouse_v1_WorkerShare__Output } from './stillhouse/v1/WorkerShare.ts';
import type { WorkersClient as _stillhouse_v1_WorkersClient, WorkersDefinition as _stillhouse_v1_WorkersDefinition } from './stillhouse/v1/Workers.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  stillhouse: {
    v1: {
      BeginTask: MessageTypeDefinition<_stillhouse_v1_BeginTask, _stillhouse_v1_BeginTask__Output>
      CancelJobRequest: MessageTypeDefinition<_stillhouse_v1_CancelJobRequest, _stillhouse_v1_CancelJobRequest__Output>
      CancelTask: MessageTypeDefinition<_stillhouse_v1_CancelTask, _stillhouse_v1_CancelTask__Output>
      Cluster: MessageTypeDefinition<_stillhouse_v1_Cluster, _stillhouse_v1_Cluster__Output>
      Coordinator: SubtypeConstructor<typeof grpc.Client, _stillhouse_v1_CoordinatorClient> & { service: _stillhouse_v1_CoordinatorDefinition }
      CoordinatorMessage: MessageTypeDefinition<_stillhouse_v1_CoordinatorMessage, _stillhouse_v1_CoordinatorMessage__Output>
      Draining: MessageTypeDefinition<_stillhouse_v1_Draining, _stillhouse_v1_Draining__Output>
      EvaluateRoute: MessageTypeDefinition<_stillhouse_v1_EvaluateRoute, _stillhouse_v1_EvaluateRoute__Output>
      EvaluateTeacher: MessageTypeDefinition<_stillhouse_v1_EvaluateTeacher, _stillhouse_v1_EvaluateTeacher__Output>
      EvaluationSplit: EnumTypeDefinition
      GetClusterRequest: MessageTypeDefinition<_stillhouse_v1_GetClusterRequest, _stillhouse_v1_GetClusterRequest__Output>
      GetJobRequest: MessageTypeDefinition<_stillhouse_v1_GetJobRequest, _stillhouse_v1_GetJobRequest__Output>
      GetModelRequest: MessageTypeDefinition<_stillhouse_v1_GetModelRequest, _stillhouse_v1_GetModelRequest__Output>
      GetRouteRequest: MessageTypeDefinition<_stillhouse_v1_GetRouteRequest, _stillhouse_v1_GetRouteRequest__Output>
      Hello: MessageTypeDefinition<_stillhouse_v1_Hello, _stillhouse_v1_Hello__Output>
      Job: MessageTypeDefinition<_stillhouse_v1_Job, _stillhouse_v1_Job__Output>
      JobEvent: MessageTypeDefinition<_stillhouse_v1_JobEvent, _stillhouse_v1_JobEvent__Output>
      JobScope: EnumTypeDefinition
      JobState: EnumTypeDefinition
      LabelImages: MessageTypeDefinition<_stillhouse_v1_LabelImages, _stillhouse_v1_LabelImages__Output>
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
      ServeModels: MessageTypeDefinition<_stillhouse_v1_ServeModels, _stillhouse_v1_ServeModels__Output>
      ServeTeacher: MessageTypeDefinition<_stillhouse_v1_ServeTeacher, _stillhouse_v1_ServeTeacher__Output>
      ServedModel: MessageTypeDefinition<_stillhouse_v1_ServedModel, _stillhouse_v1_ServedModel__Output>
      SkippedSample: MessageTypeDefinition<_stillhouse_v1_SkippedSample, _stillhouse_v1_SkippedSample__Output>
      StartTask: MessageTypeDefinition<_stillhouse_v1_StartTask, _stillhouse_v1_StartTask__Output>
      SubmitJobRequest: MessageTypeDefinition<_stillhouse_v1_SubmitJobRequest, _stillhouse_v1_SubmitJobRequest__Output>
      TaskDone: MessageTypeDefinition<_stillhouse_v1_TaskDone, _stillhouse_v1_TaskDone__Output>
      TaskFailed: MessageTypeDefinition<_stillhouse_v1_TaskFailed, _stillhouse_v1_TaskFailed__Output>
      TaskProgress: MessageTypeDefinition<_stillhouse_v1_TaskProgress, _stillhouse_v1_TaskProgress__Output>
      TaskReady: MessageTypeDefinition<_stillhouse_v1_TaskReady, _stillhouse_v1_TaskReady__Output>
      TaughtModel: MessageTypeDefinition<_stillhouse_v1_TaughtModel, _stillhouse_v1_TaughtModel__Output>
      TeacherEndpoint: MessageTypeDefinition<_stillhouse_v1_TeacherEndpoint, _stillhouse_v1_TeacherEndpoint__Output>
      TeacherShare: MessageTypeDefinition<_stillhouse_v1_TeacherShare, _stillhouse_v1_TeacherShare__Output>
      TrainStudent: MessageTypeDefinition<_stillhouse_v1_TrainStudent, _stillhouse_v1_TrainStudent__Output>
      TrainTeacher: MessageTypeDefinition<_stillhouse_v1_TrainTeacher, _stillhouse_v1_TrainTeacher__Output>
      UpdateTeachers: MessageTypeDefinition<_stillhouse_v1_UpdateTeachers, _stillhouse_v1_UpdateTeachers__Output>
      View: MessageTypeDefinition<_stillhouse_v1_View, _stillhouse_v1_View__Output>
      ViewMember: MessageTypeDefinition<_stillhouse_v1_ViewMember, _stillhouse_v1_ViewMember__Output>
      WatchJobRequest: MessageTypeDefinition<_stillhouse_v1_WatchJobRequest, _stillhouse_v1_WatchJobRequest__Output>
      Welcome: MessageTypeDefinition<_stillhouse_v1_Welcome, _stillhouse_v1_Welcome__Output>
      WorkerMessage: MessageTypeDefinition<_stillhouse_v1_WorkerMessage, _stillhouse_v1_WorkerMessage__Output>
      WorkerShare: MessageTypeDefinition<_stillhouse_v1_WorkerShare, _stillhouse_v1_WorkerShare__Output>
      Workers: SubtypeConstructor<typeof grpc.Client, _stillhouse_v1_WorkersClient> & { service: _stillhouse_v1_WorkersDefinition }
    }
  }
}

