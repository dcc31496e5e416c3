/** The Open Inference Protocol over REST, in front of a backend. */
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { describeError, type ErrorCode, StillhouseError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { MESSAGE_BYTES_MAX } from '../grpc.ts';
import { type HttpServer, listenHttp } from '../http-listen.ts';
import { inferInTime } from './deadline.ts';
import { EXTENSIONS } from './requests.ts';
import { decodeRestRequest, encodeRestResponse, HEADER_LENGTH } from './rest-codec.ts';
import type { InferenceBackend } from './types.ts';
import { SOFTWARE_VERSION } from './version.ts';

const HTTP_STATUS: Readonly<Record<ErrorCode, number>> = {
  INVALID_ARGUMENT: 400,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 400,
  FAILED_PRECONDITION: 400,
  ABORTED: 400,
  RESOURCE_EXHAUSTED: 503,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
  // Nobody reads it: the caller has gone. nginx's number, for logs.
  CANCELLED: 499,
  UNIMPLEMENTED: 501,
  DATA_LOSS: 500,
  INTERNAL: 500,
};

interface ModelPath {
  readonly Params: { readonly model: string; readonly version?: string };
}

/** @param port 0 takes a free one. @throws UNAVAILABLE when the port is in use. */
export async function serveRest(
  backend: InferenceBackend,
  options: { readonly host: string; readonly port: number; readonly logger: Logger },
): Promise<HttpServer> {
  const { host, port, logger } = options;
  const app = fastify({
    bodyLimit: MESSAGE_BYTES_MAX,
    // Model names are as long as `<route>.<specialist>` or a digest; longer ones are unknown, which is a 404 as well.
    routerOptions: { maxParamLength: 512, ignoreTrailingSlash: true },
  });
  // Bodies are JSON or JSON and raw bytes, whatever the content type says; clients disagree about it.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.setErrorHandler((error, _request, reply) => sendError(reply, error, logger));
  app.setNotFoundHandler((request, reply) => {
    reply.code(404).send({ error: `no such path: ${request.method} ${request.url}` });
  });
  addRoutes(app, backend);
  return listenHttp(app, host, port);
}

function addRoutes(app: FastifyInstance, backend: InferenceBackend): void {
  const get = (url: string, handler: (request: FastifyRequest<ModelPath>, reply: FastifyReply) => unknown) => {
    app.get<ModelPath>(url, async (request, reply) => handler(request, reply));
    refuseOthers(app, url, ['POST', 'PUT', 'PATCH', 'DELETE'], 'GET');
  };
  get('/v2', () => ({ name: backend.serverName, version: SOFTWARE_VERSION, extensions: EXTENSIONS }));
  get('/v2/health/live', (_request, reply) => {
    const live = backend.live();
    return reply.code(live ? 200 : 503).send({ live });
  });
  get('/v2/health/ready', (_request, reply) => {
    const ready = backend.ready();
    return reply.code(ready ? 200 : 503).send({ ready });
  });
  for (const model of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
    get(model, ({ params }, reply) => backend.metadata(params.model, params.version ?? '', scopeOf(reply)));
    get(`${model}/ready`, ({ params }, reply) => {
      const ready = backend.modelReady(params.model, params.version ?? '');
      return reply.code(ready ? 200 : 503).send({ name: params.model, ready });
    });
    app.post<ModelPath>(`${model}/infer`, (request, reply) => infer(backend, request, reply));
    refuseOthers(app, `${model}/infer`, ['GET', 'PUT', 'PATCH', 'DELETE'], 'POST');
  }
}

function refuseOthers(app: FastifyInstance, url: string, methods: string[], allowed: string): void {
  app.route({
    url,
    method: methods,
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const error = `${request.method} is not for this path, use ${allowed}`;
      return reply.code(405).header('allow', allowed).send({ error });
    },
  });
}

async function infer(
  backend: InferenceBackend,
  request: FastifyRequest<ModelPath>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { model, version = '' } = request.params;
  const body = await decompress((request.body ?? Buffer.alloc(0)) as Buffer, request.headers['content-encoding']);
  const header = request.headers[HEADER_LENGTH];
  const decoded = decodeRestRequest({ name: model, version }, body, Array.isArray(header) ? header[0] : header);
  const response = await inferInTime(backend, decoded.request, scopeOf(reply));
  const encoded = encodeRestResponse(response, decoded.wantsBinary);
  if (encoded.headerLength === undefined) {
    reply.header('content-type', 'application/json');
  } else {
    reply.header(HEADER_LENGTH, encoded.headerLength).header('content-type', 'application/octet-stream');
  }
  return reply.send(encoded.body);
}

/** Aborted when the caller closes the connection before it has its answer. */
function scopeOf(reply: FastifyReply): { signal: AbortSignal } {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort(new StillhouseError('CANCELLED', 'the caller is gone'));
  });
  return { signal: controller.signal };
}

const gunzipAsync = promisify(gunzip);
const inflateAsync = promisify(inflate);

async function decompress(body: Buffer, encoding: string | undefined): Promise<Buffer> {
  if (encoding === undefined || encoding === 'identity') return body;
  const limits = { maxOutputLength: MESSAGE_BYTES_MAX };
  if (encoding !== 'gzip' && encoding !== 'deflate') {
    throw new StillhouseError('UNIMPLEMENTED', `the content encoding "${encoding}" is not supported`, {
      hint: 'use gzip, deflate or none',
    });
  }
  try {
    return await (encoding === 'gzip' ? gunzipAsync(body, limits) : inflateAsync(body, limits));
  } catch (error) {
    const reason = (error as Error).message;
    throw new StillhouseError('INVALID_ARGUMENT', `the body is no valid ${encoding}: ${reason}`, { cause: error });
  }
}

function sendError(reply: FastifyReply, thrown: unknown, logger: Logger): void {
  if (!(thrown instanceof StillhouseError)) {
    const { statusCode, message } = thrown as { statusCode?: number; message?: string };
    // Fastify's own refusals (a body too large, a malformed request) carry a client's status.
    if (statusCode !== undefined && statusCode < 500) {
      reply.code(statusCode).send({ error: message });
      return;
    }
  }
  const error = StillhouseError.from(thrown);
  const status = HTTP_STATUS[error.code];
  if (status === 500) logger.error({ err: thrown }, 'request failed');
  reply.code(status).send({ error: describeError(error) });
}
