/** Records that travel as JSON over the bus and lie in key-value buckets, checked when they come in. */
import { z } from 'zod';
import { StillhouseError } from '../base/errors.ts';
import { ROUTE_RULES } from './route-rules.ts';

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 hex digits');
const name = z.string().min(1).max(256);

export const ROLES = ['teacher', 'student', 'specialist', 'router', 'coordinator'] as const;
export type Role = (typeof ROLES)[number];

const heartbeatSchema = z.object({
  id: name,
  role: z.enum(ROLES),
  /** Business port, `host:port`; empty for roles that serve none. */
  address: z.string(),
  /** What it is doing, for people. */
  activity: z.string(),
  pid: z.number().int().nonnegative(),
  /** Models that it has loaded and serves. */
  modelDigests: z.array(digest),
  /** Routers only: the revision of each route that all its requests go by. */
  routes: z.record(z.string(), z.number().int().positive()).optional(),
});

const routeSchema = z.object({
  name,
  rule: z.enum(ROUTE_RULES),
  classNames: z.array(name).min(1),
  /** In order: ties go to the later leg. */
  legs: z
    .array(
      z.object({
        /** The name in the answer's `specialist` output. */
        specialist: name,
        modelDigest: digest,
        /** For each class of the model, its class in `classNames`. */
        classIds: z.array(z.number().int().nonnegative()).min(1),
        /** Whether the model has one more output, the last: that the image is of none of its classes. */
        dustbin: z.boolean().default(false),
      }),
    )
    .min(1),
});

const modelSchema = z.object({
  /** `<job name>/<student name>`. */
  name,
  /** Of the artefact's manifest. */
  digest,
  manifestJson: z.string(),
  /** ISO 8601, UTC. */
  publishedAt: z.string(),
  jobId: z.string(),
});

/** Sent over the bus every `HEARTBEAT_INTERVAL_MS`. */
export type Heartbeat = z.infer<typeof heartbeatSchema>;
/** A record of `still_routes`, by the route's name; its revision is that of the key. */
export type RouteRecord = z.infer<typeof routeSchema>;
/** A record of `still_models`, by the model's name. */
export type ModelRecord = z.infer<typeof modelSchema>;

export function encodeRecord(record: Heartbeat | RouteRecord | ModelRecord): Uint8Array {
  return encodeJson(record);
}

export function encodeJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** DATA_LOSS, naming `where`, when the bytes are not such a record; the same for the two below. */
export function decodeHeartbeat(bytes: Uint8Array, where: string): Heartbeat {
  return decodeJson(bytes, heartbeatSchema, where);
}

export function decodeRoute(bytes: Uint8Array, where: string): RouteRecord {
  return decodeJson(bytes, routeSchema, where);
}

export function decodeModel(bytes: Uint8Array, where: string): ModelRecord {
  return decodeJson(bytes, modelSchema, where);
}

/** Parses and checks a JSON record. DATA_LOSS names `where` and the first thing that is wrong. */
export function decodeJson<T>(bytes: Uint8Array, schema: z.ZodType<T>, where: string): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new StillhouseError('DATA_LOSS', `${where} is not JSON`, { cause: error });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new StillhouseError('DATA_LOSS', `${where}: ${issue?.path.join('.') || 'record'}: ${issue?.message}`, {
    cause: parsed.error,
  });
}
