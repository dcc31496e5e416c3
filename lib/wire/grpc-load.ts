/**
 * The gRPC services of the system, loaded from the .proto files at run time, with their generated types. The loader's
 * options are those of scripts/generate-types.mjs: the types say what arrives.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Client,
  type GrpcObject,
  loadPackageDefinition,
  logVerbosity,
  type ServiceClientConstructor,
  setLogVerbosity,
} from '@grpc/grpc-js';
import { loadSync, type MethodDefinition, type PackageDefinition } from '@grpc/proto-loader';
import { protoPath as healthProtoPath } from 'grpc-health-check';
import { invariant, StillhouseError } from '../base/errors.ts';
import type { HealthClient, HealthDefinition, HealthHandlers } from './generated/grpc/health/v1/Health.ts';
import type {
  GRPCInferenceServiceClient,
  GRPCInferenceServiceDefinition,
  GRPCInferenceServiceHandlers,
} from './generated/inference/GRPCInferenceService.ts';
import type {
  CoordinatorClient,
  CoordinatorDefinition,
  CoordinatorHandlers,
} from './generated/stillhouse/v1/Coordinator.ts';
import type { TeacherClient, TeacherDefinition, TeacherHandlers } from './generated/stillhouse/v1/Teacher.ts';
import type { WorkersClient, WorkersDefinition, WorkersHandlers } from './generated/stillhouse/v1/Workers.ts';

// Every error reaches us as a status or a rejection; the library's own lines on standard error would only repeat them.
setLogVerbosity(logVerbosity.NONE);

interface Service<C extends Client, D, H> {
  readonly client: C;
  readonly definition: D;
  readonly handlers: H;
}

/** Every service that we serve or call. */
export interface Services {
  Coordinator: Service<CoordinatorClient, CoordinatorDefinition, CoordinatorHandlers>;
  Workers: Service<WorkersClient, WorkersDefinition, WorkersHandlers>;
  Teacher: Service<TeacherClient, TeacherDefinition, TeacherHandlers>;
  Inference: Service<GRPCInferenceServiceClient, GRPCInferenceServiceDefinition, GRPCInferenceServiceHandlers>;
  Health: Service<HealthClient, HealthDefinition, HealthHandlers>;
}

export type ServiceName = keyof Services;

/** The keys of an interface that also has an index signature. */
export type NamedKeys<T> = keyof {
  [K in keyof T as string extends K ? never : number extends K ? never : K]: T[K];
};

export type MethodName<S extends ServiceName> = NamedKeys<Services[S]['definition']> & string;

type Method<S extends ServiceName, M extends MethodName<S>> = Services[S]['definition'][M];

/** What a caller passes to a method. */
export type RequestOf<S extends ServiceName, M extends MethodName<S>> =
  Method<S, M> extends MethodDefinition<infer Q, infer _S, infer _Q, infer _R> ? Q : never;

/** What a caller gets from a method. */
export type ResponseOf<S extends ServiceName, M extends MethodName<S>> =
  Method<S, M> extends MethodDefinition<infer _Q, infer _S, infer _P, infer R> ? R : never;

/** Fully qualified names, as health checks and reflection use them; with the file that defines each. */
const QUALIFIED: Readonly<Record<ServiceName, { name: string; file: string }>> = {
  Coordinator: { name: 'stillhouse.v1.Coordinator', file: 'stillhouse/v1/coordinator.proto' },
  Workers: { name: 'stillhouse.v1.Workers', file: 'stillhouse/v1/workers.proto' },
  Teacher: { name: 'stillhouse.v1.Teacher', file: 'stillhouse/v1/teacher.proto' },
  Inference: { name: 'inference.GRPCInferenceService', file: 'inference/open_inference_grpc.proto' },
  Health: { name: 'grpc.health.v1.Health', file: healthProtoPath },
};

export function qualifiedName(service: ServiceName): string {
  return QUALIFIED[service].name;
}

/** The folder `proto` of this checkout or image: above the source as well as above the compiled output. */
function findProtoRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const candidate = join(folder, 'proto');
    if (existsSync(join(candidate, 'stillhouse/v1/coordinator.proto'))) return candidate;
    const parent = dirname(folder);
    if (parent === folder) {
      throw new StillhouseError('INTERNAL', 'the folder proto/ is missing beside the program', {
        hint: 'install the whole package again',
      });
    }
    folder = parent;
  }
}

const loaded = new Map<ServiceName, ServiceClientConstructor>();

/** The constructor of a service's client; its `service` property is the definition that servers register. */
export function loadService(service: ServiceName): ServiceClientConstructor {
  const known = loaded.get(service);
  if (known !== undefined) return known;
  const { name, file } = QUALIFIED[service];
  let node: unknown = loadPackageDefinition(load([file], false));
  for (const part of name.split('.')) node = (node as GrpcObject)[part];
  invariant(typeof node === 'function', `${file} defines ${name}`);
  loaded.set(service, node as ServiceClientConstructor);
  return node as ServiceClientConstructor;
}

/** All types of the files that define these services, their fields named as in the files. */
export function loadAsWritten(services: readonly ServiceName[]): PackageDefinition {
  return load([...new Set(services.map((service) => QUALIFIED[service].file))], true);
}

function load(files: string[], keepCase: boolean): PackageDefinition {
  const includeDirs = [findProtoRoot()];
  return loadSync(files, { keepCase, longs: Number, enums: String, defaults: true, oneofs: true, includeDirs });
}
