/** Addresses of data sets, and which of them may be looked at. */
import { StillhouseError } from '../../base/errors.ts';

/** Whether an address may be asked; also called with the targets of redirects. */
export type AddressRule = (url: URL) => boolean;

const KINDS = ['http:', 'https:', 's3:'];

/** What S3's guide to object keys calls safe, and `=`: no server or proxy on the way reads them in two ways. */
const SAFE_S3 = /^s3:\/\/[a-z0-9][a-z0-9.-]+(?:\/[\w!.*'()=-]+)*\/?$/;

/** Encoded slashes, backslashes, dots, percent signs and zeros: servers differ in when they decode them. */
const AMBIGUOUS = /%(?:2f|5c|2e|25|00)|\\/i;

/** Whether a data set is named by an address (`http://`, `https://`, `s3://`), not by a name or a path. */
export function isAddress(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
}

/**
 * The address in its one form: no slash at the end.
 * @throws StillhouseError INVALID_ARGUMENT for another kind of address, or one with a user, query, fragment or odd character
 */
export function parseAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !KINDS.includes(url.protocol)) {
    throw refusal(
      `"${withoutUser(text)}" is not an address of a data set`,
      'use http://, https:// or s3://bucket/prefix',
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw refusal('the address carries a user or a password', 'S3 takes its credentials from the environment');
  }
  if (/[?#]/.test(text))
    throw refusal(`"${text}" has a query or a fragment`, 'name the folder that manifest.json lies in');
  if (!isPlain(url) || (url.protocol === 's3:' && !SAFE_S3.test(text))) {
    throw refusal(
      `"${text}" holds characters that servers read in different ways`,
      'use letters, digits, ".", "-" and "_"',
    );
  }
  const bare = new URL(url);
  bare.pathname = url.pathname.replace(/\/+$/, '');
  return bare;
}

/** As text, without a slash at the end. */
export function addressText(url: URL): string {
  return url.href.replace(/\/+$/, '');
}

/** A file below an address. `file` is relative, with `/` between its parts. */
export function addressOf(place: URL, file: string): URL {
  const parts = file.split('/').map(encodeURIComponent);
  return new URL(`${addressText(place)}/${parts.join('/')}`);
}

/**
 * Allows what lies at or below one of the prefixes: same scheme, host and port, whole parts of the path.
 *
 * @param prefixes separated by white space; `*` allows everything
 * @throws StillhouseError INVALID_ARGUMENT for a prefix that is no address
 */
export function addressRule(prefixes: string): AddressRule {
  const words = prefixes.split(/\s+/).filter((word) => word !== '');
  if (words.includes('*')) return (url) => KINDS.includes(url.protocol);
  const allowed = words.map(parseAddress);
  return (url) => isPlain(url) && allowed.some((prefix) => isBelow(prefix, url));
}

function isBelow(prefix: URL, url: URL): boolean {
  // `origin` is "null" for s3.
  if (prefix.protocol !== url.protocol || prefix.host !== url.host) return false;
  const folder = prefix.pathname.replace(/\/+$/, '');
  return url.pathname === folder || url.pathname.startsWith(`${folder}/`);
}

function isPlain(url: URL): boolean {
  return !AMBIGUOUS.test(url.pathname) && url.username === '' && url.password === '';
}

function withoutUser(text: string): string {
  return text.replace(/\/\/[^/]*@/, '//');
}

function refusal(message: string, hint: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', message, { field: 'data.dataset', hint });
}
