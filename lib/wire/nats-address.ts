/** Addresses of NATS servers, as users write them. */
import { StillhouseError } from '../base/errors.ts';

const NATS_PORT = 4222;

export interface NatsServers {
  /** `host:port` of each. */
  readonly servers: string[];
  /** For messages: the addresses without credentials. */
  readonly shown: string;
  readonly user?: string;
  readonly pass?: string;
}

/**
 * Parses `nats://[user:password@]host[:port]`, several separated by commas; the scheme may be left out. Credentials are
 * those of the first address that has any. INVALID_ARGUMENT, field NATS_URL, when it is no address.
 */
export function parseNatsServers(text: string): NatsServers {
  const urls = text.split(',').map((part) => {
    const trimmed = part.trim();
    const full = trimmed.includes('://') ? trimmed : `nats://${trimmed}`;
    if (URL.canParse(full) && new URL(full).hostname !== '') return new URL(full);
    throw new StillhouseError('INVALID_ARGUMENT', `"${trimmed}" is not a NATS address, expected nats://host:port`, {
      field: 'NATS_URL',
    });
  });
  const servers = urls.map((url) => `${url.hostname}:${url.port === '' ? NATS_PORT : url.port}`);
  const first = urls.find((url) => url.username !== '');
  return {
    servers,
    shown: servers.map((server) => `nats://${server}`).join(', '),
    ...(first === undefined ? {} : { user: decodeURIComponent(first.username) }),
    ...(first === undefined || first.password === '' ? {} : { pass: decodeURIComponent(first.password) }),
  };
}
