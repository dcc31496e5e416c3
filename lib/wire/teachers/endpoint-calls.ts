/** The Open Inference Protocol's calls that a teacher needs, by gRPC or REST as the endpoint's address says. */
import { StillhouseError } from '../../base/errors.ts';
import type { CallLimits } from '../grpc.ts';
import type { EndpointSource } from '../job-spec.ts';
import { OipClient } from '../oip/client.ts';
import type { Contents } from '../oip/grpc-codec.ts';
import { OipRestClient } from '../oip/rest-client.ts';
import type { InferResponse, ModelMetadata, OipTensor } from '../oip/types.ts';

export interface EndpointCalls {
  /** To be asked for first. */
  metadata(limits: CallLimits): Promise<ModelMetadata>;
  /** That a number in a message has at most. */
  valueBytes(datatype: 'UINT8' | 'FP32' | 'FP64'): number;
  infer(input: OipTensor, output: string, limits: CallLimits): Promise<InferResponse>;
  close(): void;
}

/** A server's address as a job file names it. */
export interface EndpointAddress {
  readonly isRest: boolean;
  readonly tls: boolean;
  /** `host:port` for gRPC, the base of all paths for REST. */
  readonly address: string;
}

/** @throws INVALID_ARGUMENT when it is no such address */
export function endpointAddress(url: string): EndpointAddress {
  const refuse = (problem: string) =>
    new StillhouseError('INVALID_ARGUMENT', `${withoutSecrets(url)}: ${problem}`, {
      hint: 'write grpc://host:port, grpcs://host:port, http://host:port or https://host:port',
    });
  if (!URL.canParse(url)) throw refuse('is no address');
  const { protocol, host, port, pathname, username, password } = new URL(url);
  const isMore = username !== '' || password !== '' || /[?#]/.test(url);
  if (isMore) throw refuse('holds more than a server and its path: a name, a password, a query or a fragment');
  const tls = protocol === 'grpcs:' || protocol === 'https:';
  if (protocol === 'http:' || protocol === 'https:') return { isRest: true, tls, address: url };
  if (protocol !== 'grpc:' && protocol !== 'grpcs:') throw refuse(`is of the kind ${protocol}`);
  if (port === '') throw refuse('has no port');
  if (pathname !== '' && pathname !== '/') throw refuse('has a path, which gRPC has not');
  return { isRest: false, tls, address: host };
}

/** What stands before an @ or after the path may let somebody in. */
function withoutSecrets(url: string): string {
  return url.replace(/[?#].*$/s, '…').replace(/\/\/.*@/s, '//…@');
}

export function connectEndpoint({ url, model, version = '' }: EndpointSource): EndpointCalls {
  const { isRest, tls, address } = endpointAddress(url);
  return isRest ? restCalls(address, model, version) : grpcCalls(address, tls, model, version);
}

function grpcCalls(address: string, tls: boolean, modelName: string, modelVersion: string): EndpointCalls {
  const client = new OipClient(address, { tls, isForeign: true });
  let contents: Contents | undefined;
  const infer = (input: OipTensor, output: string, limits: CallLimits, form: Contents) =>
    client.infer({ modelName, modelVersion, inputs: [input], outputs: [output] }, limits, form);
  return {
    metadata: (limits) => client.metadata(modelName, modelVersion, limits),
    // Bytes that are written one by one have up to two.
    valueBytes: (datatype) => ({ UINT8: 2, FP32: 4, FP64: 8 })[datatype],
    infer: async (input, output, limits) => {
      if (contents !== undefined) return infer(input, output, limits, contents);
      try {
        const response = await infer(input, output, limits, 'raw');
        contents = 'raw';
        return response;
      } catch (refusal) {
        if (!mayDislikeRaw(refusal)) throw refusal;
        // A few servers read numbers only one by one. Where that is not it, the first error says more.
        const response = await infer(input, output, limits, 'typed').catch(() => Promise.reject(refusal));
        contents = 'typed';
        return response;
      }
    },
    close: () => client.close(),
  };
}

function mayDislikeRaw(error: unknown): boolean {
  return ['INVALID_ARGUMENT', 'INTERNAL', 'UNIMPLEMENTED'].includes(StillhouseError.from(error).code);
}

/** The longest numbers in JSON, each with its comma. */
const DIGITS = { UINT8: 4, FP32: 25, FP64: 25 } as const;

function restCalls(address: string, modelName: string, modelVersion: string): EndpointCalls {
  const client = new OipRestClient(address);
  let isBinary = false;
  return {
    metadata: async (limits) => {
      const metadata = await client.metadata(modelName, modelVersion, limits);
      isBinary = await client.takesBinary(limits);
      return metadata;
    },
    valueBytes: (datatype) => (isBinary ? { UINT8: 1, FP32: 4, FP64: 8 } : DIGITS)[datatype],
    infer: (input, output, limits) =>
      client.infer({ modelName, modelVersion, inputs: [input], outputs: [output] }, limits, isBinary),
    // Connections are the process's, and end by themselves.
    close: () => undefined,
  };
}
