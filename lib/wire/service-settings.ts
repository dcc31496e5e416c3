/** Where a service listens and how others reach it: the settings that all services share. */
import { hostname } from 'node:os';
import type { Settings } from '../base/settings.ts';
import { hostPort } from './grpc-options.ts';

export interface ServiceSettings {
  /** The host to bind. */
  readonly host: string;
  /** Ports to bind; 0 takes a free one. */
  readonly port: number;
  readonly healthPort: number;
  readonly httpPort: number;
  readonly metricsPort: number;
  /** Whether the business port tells callers what it serves (grpc.reflection). */
  readonly reflection: boolean;
  /** `host:port` as others see it, of a port that was bound. */
  advertised(boundPort: number): string;
}

const ANY_HOST: readonly string[] = ['0.0.0.0', '::'];
const PORTS = { min: 0, max: 65_535 };

/** @throws INVALID_ARGUMENT naming the environment variable. */
export function readServiceSettings(settings: Settings): ServiceSettings {
  const host = settings.text('STILLHOUSE_HOST', '0.0.0.0');
  const advertisedHost = settings.text('STILLHOUSE_ADVERTISE', ANY_HOST.includes(host) ? hostname() : host);
  return {
    host,
    port: settings.integer('STILLHOUSE_PORT', 0, PORTS),
    healthPort: settings.integer('STILLHOUSE_HEALTH_PORT', 0, PORTS),
    httpPort: settings.integer('STILLHOUSE_HTTP_PORT', 0, PORTS),
    metricsPort: settings.integer('STILLHOUSE_METRICS_PORT', 0, PORTS),
    reflection: settings.oneOf('STILLHOUSE_REFLECTION', 'on', ['on', 'off']) === 'on',
    advertised: (boundPort) => hostPort(advertisedHost, boundPort),
  };
}
