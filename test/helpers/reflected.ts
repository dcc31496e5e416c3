/**
 * Calls a gRPC server knowing nothing of it but what its reflection says, as grpcurl does: messages go in and come out
 * in Protocol Buffers' JSON form.
 */
import { createRequire } from 'node:module';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import descriptor, { type IFileDescriptorProto } from 'protobufjs/ext/descriptor/index.js';
import { SHARED_OPTIONS } from '../../lib/wire/grpc-options.ts';

export type Json = { [name: string]: unknown };

interface Answer {
  readonly listServicesResponse?: { service: { name: string }[] };
  readonly fileDescriptorResponse?: { fileDescriptorProto: Buffer[] };
  readonly errorResponse?: { errorMessage: string };
}

const { resolve } = createRequire(import.meta.url);
const PROTO_OF = {
  v1: 'grpc/reflection/v1/reflection.proto',
  v1alpha: 'grpc/reflection/v1alpha/reflection.proto',
} as const;

export class Reflected {
  readonly #client: Client;
  readonly #version: keyof typeof PROTO_OF;

  constructor(address: string, version: keyof typeof PROTO_OF = 'v1') {
    this.#client = new Client(address, credentials.createInsecure(), SHARED_OPTIONS);
    this.#version = version;
  }

  close(): void {
    this.#client.close();
  }

  /** In alphabetical order. */
  async services(): Promise<string[]> {
    const { listServicesResponse } = await this.#ask({ listServices: '*' });
    return (listServicesResponse?.service ?? []).map(({ name }) => name).sort();
  }

  /** Names of a service's methods, in alphabetical order. */
  async methods(service: string): Promise<string[]> {
    return (await this.#root(service))
      .lookupService(service)
      .methodsArray.map(({ name }) => name)
      .sort();
  }

  /** The files that define a symbol, as the server describes them. */
  async files(symbol: string): Promise<IFileDescriptorProto[]> {
    const { fileDescriptorResponse } = await this.#ask({ fileContainingSymbol: symbol });
    return (fileDescriptorResponse?.fileDescriptorProto ?? []).map(
      (bytes) => descriptor.FileDescriptorProto.decode(bytes) as IFileDescriptorProto,
    );
  }

  /** @param path `<service>/<method>` @param onAnswer called with every answer. Rejects with the call's status. */
  async call(path: string, request: Json, onAnswer: (answer: Json) => void): Promise<void> {
    const [service, name] = path.split('/') as [string, string];
    const { resolvedRequestType, resolvedResponseType } = methodOf(await this.#root(service), service, name);
    const call = this.#client.makeServerStreamRequest(
      `/${path}`,
      (message: protobuf.Message) => Buffer.from(resolvedRequestType.encode(message).finish()),
      (bytes) => resolvedResponseType.decode(bytes),
      resolvedRequestType.fromObject(fromJson(resolvedRequestType, request)),
      new Metadata(),
    );
    call.on('data', (message: protobuf.Message) => onAnswer(toJson(resolvedResponseType, message)));
    await new Promise<void>((done, fail) => call.on('end', done).on('error', fail));
  }

  async #root(symbol: string): Promise<protobuf.Root> {
    const set = descriptor.FileDescriptorSet.create({ file: await this.files(symbol) });
    return (protobuf.Root as unknown as { fromDescriptor(set: object): protobuf.Root }).fromDescriptor(set);
  }

  async #ask(request: Json): Promise<Answer> {
    const service = `grpc.reflection.${this.#version}.ServerReflection`;
    const types = protobuf.loadSync(resolve(`@grpc/reflection/build/proto/${PROTO_OF[this.#version]}`));
    const { resolvedRequestType, resolvedResponseType } = methodOf(types, service, 'ServerReflectionInfo');
    const call = this.#client.makeBidiStreamRequest(
      `/${service}/ServerReflectionInfo`,
      (message: Json) => Buffer.from(resolvedRequestType.encode(message).finish()),
      (bytes) => resolvedResponseType.decode(bytes) as Answer,
    );
    call.end(request);
    const answer = await new Promise<Answer>((done, fail) => call.once('data', done).once('error', fail));
    if (answer.errorResponse) throw new Error(answer.errorResponse.errorMessage);
    return answer;
  }
}

interface Method {
  readonly resolvedRequestType: protobuf.Type;
  readonly resolvedResponseType: protobuf.Type;
}

function methodOf(root: protobuf.Root, service: string, name: string): Method {
  const method = root.lookupService(service).methods[name]?.resolve();
  if (method === undefined) throw new Error(`service "${service}" does not include a method named "${name}"`);
  return method as unknown as Method;
}

const jsonName = (name: string) => name.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** Maps arrive as messages of keys and values, as they are on the wire. */
const isMap = ({ name, fields }: protobuf.Type) => name.endsWith('Entry') && Object.keys(fields).join() === 'key,value';

/** What protobufjs takes: fields by their names in the file, maps as lists of entries. Unknown fields are refused. */
function fromJson(type: protobuf.Type, json: Json): Json {
  const entries = Object.entries(json).map(([key, value]) => {
    const field = type.fieldsArray.find(({ name }) => name === key || jsonName(name) === key);
    if (field === undefined) throw new Error(`message type ${type.fullName} has no known field named ${key}`);
    const inner = field.resolve().resolvedType;
    if (!(inner instanceof protobuf.Type)) return [field.name, value];
    if (isMap(inner)) {
      const pairs = Object.entries(value as Json).map(([name, one]) => fromJson(inner, { key: name, value: one }));
      return [field.name, pairs];
    }
    if (field.repeated) return [field.name, (value as Json[]).map((one) => fromJson(inner, one))];
    return [field.name, fromJson(inner, value as Json)];
  });
  return Object.fromEntries(entries);
}

/** Fields in the order of the file; those without presence are left out when they hold their default. */
function toJson(type: protobuf.Type, message: protobuf.Message): Json {
  const values = type.toObject(message, { longs: String, enums: String, bytes: String }) as Json;
  const json: Json = {};
  for (const field of type.fieldsArray) {
    const raw = (message as unknown as Json)[field.name];
    if (!Object.hasOwn(values, field.name)) continue;
    const inner = field.resolve().resolvedType;
    let value = values[field.name];
    if (inner instanceof protobuf.Type) {
      const convert = (one: unknown) => toJson(inner, one as protobuf.Message);
      if (isMap(inner)) value = Object.fromEntries((raw as unknown[]).map(convert).map((one) => [one.key, one.value]));
      else value = field.repeated ? (raw as unknown[]).map(convert) : convert(raw);
    } else if (!field.repeated && field.partOf === null && isDefault(raw)) continue;
    if (field.repeated && (raw as unknown[]).length === 0) continue;
    json[jsonName(field.name)] = value;
  }
  return json;
}

const isDefault = (value: unknown) =>
  value === '' || Number(value) === 0 || (value instanceof Uint8Array && value.length === 0);

/** The line that grpcurl would end with. */
export function statusLine(error: unknown): string {
  const { details, message } = error as ServiceError;
  return details ?? message;
}
