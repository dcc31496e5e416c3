/** grpc.reflection, v1 and v1alpha: what a server serves, for grpcurl and other tools that know no .proto file. */
import type { Server } from '@grpc/grpc-js';
import type { AnyDefinition, PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import descriptor, { type IDescriptorProto, type IFileDescriptorProto } from 'protobufjs/ext/descriptor/index.js';
import { invariant } from '../base/errors.ts';
import { loadAsWritten, qualifiedName, type ServiceName } from './grpc-load.ts';

/** Tells callers of `services`, which the server serves; itself it is not listed. For a server that does not listen yet. */
export function addReflection(server: Server, services: readonly ServiceName[]): void {
  const described = describe(Object.values(loadAsWritten(services)));
  new ReflectionService(described, { services: services.map(qualifiedName) }).addToServer(server);
}

type Described = Extract<AnyDefinition, { fileDescriptorProtos: Buffer[] }>;

/**
 * The package of one type: every type carries the descriptors of all files, and the reflection would read each of them
 * anew.
 */
function describe(definitions: readonly AnyDefinition[]): PackageDefinition {
  const first = definitions.find((definition): definition is Described => 'fileDescriptorProtos' in definition);
  invariant(first !== undefined, 'a service has messages');
  return { any: { ...first, fileDescriptorProtos: first.fileDescriptorProtos.map(asProtocWould) } };
}

/**
 * What protoc writes and protobufjs does not: the fields' names in JSON, without which grpcurl answers others than
 * documented; and the entry message of `map<K, V> tensor_names` named TensorNamesEntry, without which Go's tools refuse
 * the whole file (descriptor.proto: FieldDescriptorProto.json_name, MessageOptions.map_entry).
 */
function asProtocWould(bytes: Uint8Array): Buffer {
  const file = descriptor.FileDescriptorProto.decode(bytes);
  nameFields((file as IFileDescriptorProto).messageType ?? []);
  return Buffer.from(descriptor.FileDescriptorProto.encode(file).finish());
}

function nameFields(messages: readonly IDescriptorProto[]): void {
  for (const { nestedType, field: fields } of messages) {
    nameFields(nestedType ?? []);
    for (const field of fields ?? []) {
      field.jsonName = camelCase(field.name ?? '');
      const entry = nestedType?.find(({ name, options }) => name === field.typeName && options?.mapEntry === true);
      if (entry === undefined) continue;
      entry.name = `${field.jsonName.charAt(0).toUpperCase()}${field.jsonName.slice(1)}Entry`;
      field.typeName = entry.name;
    }
  }
}

/** `tensor_names` as `tensorNames`. */
function camelCase(name: string): string {
  return name.replace(/_+(.?)/g, (_, letter: string) => letter.toUpperCase());
}
