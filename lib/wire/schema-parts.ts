/** What the schemas of job files are made of. Every leaf says in words what it expects. */
import { z } from 'zod';

/** What names may look like: a DNS label, because they become parts of subjects, keys and host names. */
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export function whole(min: number, max?: number) {
  const text = max === undefined ? `a whole number ≥ ${min}` : `a whole number from ${min} to ${max}`;
  return z
    .int(text)
    .min(min, text)
    .max(max ?? Number.MAX_SAFE_INTEGER, text);
}

export function positive() {
  const text = 'a number > 0';
  return z.number(text).gt(0, text);
}

export function fraction() {
  const text = 'a number from 0 to 1';
  return z.number(text).min(0, text).max(1, text);
}

export function between(min: number, max: number) {
  const text = `a number from ${min} to ${max}`;
  return z.number(text).min(min, text).max(max, text);
}

export function atLeastZero() {
  const text = 'a number ≥ 0';
  return z.number(text).min(0, text);
}

export function flag() {
  return z.boolean('true or false');
}

export function label() {
  const text = 'a name of lower-case letters, digits and "-", at most 63, that starts and ends with a letter or digit';
  return z.string(text).regex(LABEL, text);
}

export function text(meaning: string) {
  return z.string(meaning).min(1, meaning);
}

export function oneOf<const T extends readonly string[]>(...values: T) {
  return z.enum(values, values.length === 1 ? `"${values[0]}"` : `one of ${values.join(', ')}`);
}

/** A mapping with these keys and no other. For an unknown key the issue's message is the list of the known ones. */
export function block<T extends z.ZodRawShape>(shape: T) {
  const keys = Object.keys(shape);
  const meaning = keys.length === 0 ? 'nothing (there are no settings here yet)' : `a block of ${keys.join(', ')}`;
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? keys.join(', ') : meaning),
  });
}

/** A block that may be left out or left empty: its defaults then hold. */
export function optional<T extends z.ZodType>(schema: T, whenEmpty: Record<string, unknown> = {}) {
  return z
    .unknown()
    .optional()
    .transform((value): unknown => {
      if (value === undefined || value === null) return whenEmpty;
      return isMapping(value) ? { ...whenEmpty, ...value } : value;
    })
    .pipe(schema as z.ZodType<z.output<T>, unknown>);
}

/** A value whose form decides which schema it is held against; its problems are that schema's. */
export function chosen<T>(choose: (value: unknown) => z.ZodType<T>) {
  return z.unknown().transform((value, context): T => {
    const result = choose(value).safeParse(value);
    if (result.success) return result.data;
    context.issues.push(...(result.error.issues as z.core.$ZodRawIssue[]));
    return z.NEVER;
  });
}

/** What is expected of a block whose `type` decides on its other keys. */
export function unionMeaning(types: string) {
  return (issue: { readonly code: string }) =>
    issue.code === 'invalid_union' ? `one of ${types}` : `a block with a type: one of ${types}`;
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
