/**
 * Canonical JSON: one text per value, so that a digest of the text names the value. Keys are sorted by UTF-16 code units at
 * every depth and nothing is written between tokens, as in RFC 8785.
 */
import { StillhouseError } from '../base/errors.ts';

/**
 * The canonical text of plain data: null, booleans, finite numbers, strings, arrays and plain objects. Properties that are
 * undefined are left out, as `JSON.stringify` does.
 *
 * @throws StillhouseError INTERNAL when the value holds anything else; `field` is the path to it.
 */
export function canonicalJson(value: unknown): string {
  return write(value, '$');
}

function write(value: unknown, path: string): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw refusal(path, String(value));
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) {
    // Array.from turns holes into undefined, which is refused like any other value that JSON lacks.
    return `[${Array.from(value, (item: unknown, index) => write(item, `${path}[${index}]`)).join(',')}]`;
  }
  if (!isPlainObject(value)) throw refusal(path, typeof value === 'object' ? 'an object of a class' : typeof value);
  const properties: string[] = [];
  for (const key of Object.keys(value).sort()) {
    const item = value[key];
    if (item !== undefined) properties.push(`${JSON.stringify(key)}:${write(item, `${path}.${key}`)}`);
  }
  return `{${properties.join(',')}}`;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function refusal(path: string, found: string): StillhouseError {
  return new StillhouseError('INTERNAL', `${path} is ${found}, which JSON cannot hold`, { field: path });
}
