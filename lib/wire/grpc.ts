/** gRPC in one import: serve, dial, call, and errors both ways. */
export { addressOf, type CallLimits, callOptions, type DialOptions, dial, type RpcClient, unary } from './grpc-dial.ts';
export { type MethodName, qualifiedName, type RequestOf, type ResponseOf, type ServiceName } from './grpc-load.ts';
export { hostPort, MESSAGE_BYTES_MAX } from './grpc-options.ts';
export { type CallContext, type Implementation, RpcServer, type RpcServerOptions } from './grpc-server.ts';
export { codeOfName, codeOfStatus, fromStatus, toStatus } from './grpc-status.ts';
export { Health, type HealthServer, serveHealth } from './health.ts';
