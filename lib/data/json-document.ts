/** Reading JSON that someone else wrote: syntax, duplicate keys and schema are checked, and errors name the file and path. */
import { z } from 'zod';
import { StillhouseError } from '../base/errors.ts';

/** A content digest, as `lib/base/digest.ts` makes them. */
export const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 lower-case hex digits');

/**
 * Parses and checks a JSON document.
 *
 * @param where names the document in errors, e.g. its path.
 * @throws StillhouseError INVALID_ARGUMENT for broken syntax, a duplicate key (two readers might take different ones) or a
 *   value that the schema refuses; `field` is its path in the document.
 */
export function parseJsonDocument<T>(text: string, schema: z.ZodType<T>, where: string): T {
  return checkDocument(parseJson(text, where), schema, where);
}

/**
 * Checks a document that has been parsed already, from whatever notation.
 *
 * @throws StillhouseError INVALID_ARGUMENT for a value that the schema refuses; `field` is its path in the document.
 */
export function checkDocument<T>(value: unknown, schema: z.ZodType<T>, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = fieldPath(issue?.path ?? []);
  const at = field === '' ? where : `${where}: ${field}`;
  throw new StillhouseError('INVALID_ARGUMENT', `${at}: ${issue?.message ?? 'refused'}`, {
    field,
    cause: result.error,
  });
}

/** `JSON.parse` that refuses duplicate keys. @throws StillhouseError INVALID_ARGUMENT, naming `where`. */
export function parseJson(text: string, where: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new StillhouseError('INVALID_ARGUMENT', `${where} is not JSON: ${(cause as Error).message}`, { cause });
  }
  const duplicate = findDuplicateKey(text);
  if (duplicate === undefined) return value;
  throw new StillhouseError('INVALID_ARGUMENT', `${where}: the key ${JSON.stringify(duplicate)} occurs twice`, {
    field: duplicate,
  });
}

/** Decodes UTF-8, refusing what is not. @throws StillhouseError INVALID_ARGUMENT, naming `where`. */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new StillhouseError('INVALID_ARGUMENT', `${where} is not UTF-8 text`, { cause });
  }
}

/**
 * The first key that occurs twice in one object of a JSON text; `JSON.parse` silently keeps the last. The text must be
 * valid JSON: then a string followed by a colon is a key, and nothing else has to be understood.
 */
export function findDuplicateKey(text: string): string | undefined {
  const keysOfOpenObjects: Set<string>[] = [];
  // Not a regular expression: its backtracking overflows the stack on a hostile string of many megabytes.
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '{') keysOfOpenObjects.push(new Set());
    else if (character === '}') keysOfOpenObjects.pop();
    else if (character === '"') {
      const end = endOfString(text, at);
      if (isFollowedByColon(text, end)) {
        const key = JSON.parse(text.slice(at, end)) as string;
        const keys = keysOfOpenObjects.at(-1);
        if (keys?.has(key)) return key;
        keys?.add(key);
      }
      at = end - 1;
    }
  }
  return undefined;
}

/** The position after the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

function isFollowedByColon(text: string, start: number): boolean {
  let at = start;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return text[at] === ':';
}

function fieldPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? String(part) : `${text}.${String(part)}`;
  }, '');
}
