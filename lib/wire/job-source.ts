/** The text of a job file: YAML or JSON to plain values, overrides applied, and for every path the place it came from. */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parse, parseDocument } from 'yaml';
import { StillhouseError } from '../base/errors.ts';

export type PathSegment = string | number;

export interface JobSource {
  readonly value: unknown;
  locate(path: readonly PathSegment[]): string;
}

export interface SourceOptions {
  readonly overrides: readonly string[];
  readonly quick: boolean;
}

/** A job file is a page; this only bounds the work on hostile input. */
const MAX_TEXT_BYTES = 1024 * 1024;

/** `students[0].classes`; keys that would be ambiguous are quoted. */
export function formatPath(path: readonly PathSegment[]): string {
  return path.reduce<string>((text, segment) => {
    if (typeof segment === 'number') return `${text}[${segment}]`;
    const plain = /^[\w-]+$/.test(segment);
    if (!plain) return `${text}[${JSON.stringify(segment)}]`;
    return text === '' ? segment : `${text}.${segment}`;
  }, '');
}

/** The own value at a path; undefined when there is none. */
export function valueAt(root: unknown, path: readonly PathSegment[]): unknown {
  let value = root;
  for (const segment of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, segment)) return undefined;
    value = (value as Record<PathSegment, unknown>)[segment];
  }
  return value;
}

/** Throws INVALID_ARGUMENT for text that is not YAML, and for overrides that cannot be read. */
export function readJobSource(text: string, where: string, options: SourceOptions): JobSource {
  const lines = new LineCounter();
  const document = parseText(text, where, lines);
  const value = plainValue(document, where);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const message = `${where}: expected a job file, a YAML mapping that starts with "apiVersion: stillhouse/v1"`;
    throw new StillhouseError('INVALID_ARGUMENT', message);
  }
  const origins = new Map<string, string>();
  const place = (path: readonly PathSegment[]) => {
    const line = lineOf(document, lines, path);
    return line === undefined ? ` (${where})` : ` (${where} line ${line})`;
  };
  if (options.quick) {
    const quick = valueAt(value, ['limits', 'quick']);
    for (const [key, setting] of Object.entries(typeof quick === 'object' && quick !== null ? quick : {})) {
      const path = parsePath(key, `limits.quick${formatPath([key])}`);
      const real = setValue(value, path, unshared(setting), key);
      origins.set(formatPath(real), ` (from limits.quick,${place(['limits', 'quick', key]).replace(' (', ' ')}`);
    }
  }
  for (const override of options.overrides) {
    const { path, setting } = parseOverride(override);
    const real = setValue(value, path, setting, `--set ${override}`);
    origins.set(formatPath(real), ` (from --set ${override})`);
  }
  const locate = (path: readonly PathSegment[]) => {
    for (let length = path.length; length > 0; length--) {
      const origin = origins.get(formatPath(path.slice(0, length)));
      if (origin !== undefined) return origin;
    }
    // Something that only an override brought into being, e.g. a misspelt block.
    const name = formatPath(path);
    const inside = [...origins.keys()].find((key) => key.startsWith(`${name}.`) || key.startsWith(`${name}[`));
    const absent = path.length > 0 && !document.hasIn(path);
    return (absent && inside !== undefined ? origins.get(inside) : undefined) ?? place(path);
  };
  return { value, locate };
}

function plainValue(document: Document, where: string): unknown {
  try {
    return unshared(document.toJS({ maxAliasCount: 100 }) as unknown);
  } catch (error) {
    // Aliases that multiply, or that name no anchor.
    const reason = error instanceof Error ? error.message : String(error);
    throw new StillhouseError('INVALID_ARGUMENT', `${where}: ${reason}`, { cause: error });
  }
}

/** A deep copy in which nothing is shared: an override must not change what an alias in the text made equal. */
function unshared(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unshared);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, unshared(entry)]));
}

function parseText(text: string, where: string, lineCounter: LineCounter): Document {
  if (text.length > MAX_TEXT_BYTES) {
    throw new StillhouseError('INVALID_ARGUMENT', `${where}: a job file has at most ${MAX_TEXT_BYTES} characters`);
  }
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  const error = document.errors[0];
  if (error !== undefined) {
    const { line, col } = lineCounter.linePos(error.pos[0]);
    const message = `${where} line ${line}, column ${col}: not valid YAML: ${error.message}`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { cause: error });
  }
  return document;
}

/** The line of the deepest part of a path that is in the text: the key's own line where there is a key. */
function lineOf(document: Document, lines: LineCounter, path: readonly PathSegment[]): number | undefined {
  let node: unknown = document.contents;
  let offset: number | undefined;
  for (const segment of path) {
    if (isAlias(node)) node = node.resolve(document);
    let key: unknown;
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(segment));
      key = pair?.key;
      node = pair?.value;
    } else if (isSeq(node)) {
      node = node.items[Number(segment)];
      key = node;
    }
    const start = (key as Node | null | undefined)?.range?.[0];
    if (start === undefined) break;
    offset = start;
  }
  return offset === undefined ? undefined : lines.linePos(offset).line;
}

function parseOverride(override: string): { path: PathSegment[]; setting: unknown } {
  const equals = override.indexOf('=');
  if (equals <= 0) {
    throw new StillhouseError('INVALID_ARGUMENT', `--set ${override}: expected path=value, e.g. train.epochs=3`, {
      field: '--set',
    });
  }
  const path = parsePath(override.slice(0, equals), `--set ${override}`);
  const written = override.slice(equals + 1);
  try {
    return { path, setting: parse(written) as unknown };
  } catch (error) {
    const message = `--set ${override}: the value is not valid YAML`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: formatPath(path), cause: error });
  }
}

/** `students[0].arch` or `students.0.arch`; digits are an index where the file has a list. */
function parsePath(text: string, what: string): PathSegment[] {
  const path: PathSegment[] = [];
  const pattern = /(?:^|\.)([\w-]+)|\[(\d{1,6})\]/gy;
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (match === null || (path.length === 0 && match[1] === undefined) || match[1] === '__proto__') {
      const message = `${what}: "${text}" is not a path; expected one like train.epochs or students[0].arch`;
      throw new StillhouseError('INVALID_ARGUMENT', message, { field: text });
    }
    path.push(match[1] ?? Number(match[2]));
  }
  return path;
}

/**
 * Sets a value; mappings on the way are made when missing, so that the schema can name the unknown key. Returns the path
 * with numbers for the entries of lists.
 */
function setValue(root: unknown, path: readonly PathSegment[], setting: unknown, what: string): PathSegment[] {
  const real: PathSegment[] = [];
  let container = root as Record<PathSegment, unknown>;
  for (const [depth, segment] of path.entries()) {
    const last = depth === path.length - 1;
    real.push(Array.isArray(container) ? Number(segment) : segment);
    if (Array.isArray(container)) {
      const index = Number(segment);
      if (!(Number.isInteger(index) && index < container.length)) {
        const list = formatPath(path.slice(0, depth));
        const message = `${what}: ${list} has ${container.length} entries, so there is no ${list}[${segment}] (they count from 0)`;
        throw new StillhouseError('INVALID_ARGUMENT', message, { field: formatPath(path) });
      }
    }
    if (last) {
      container[segment] = setting;
      break;
    }
    const next = Object.hasOwn(container, segment) ? container[segment] : undefined;
    if (typeof next === 'object' && next !== null) container = next as Record<PathSegment, unknown>;
    else if (next === undefined || next === null) {
      const made: Record<PathSegment, unknown> = {};
      container[segment] = made;
      container = made;
    } else {
      const parent = formatPath(path.slice(0, depth + 1));
      const message = `${what}: ${parent} is ${JSON.stringify(next)}, which has nothing inside`;
      throw new StillhouseError('INVALID_ARGUMENT', message, { field: formatPath(path) });
    }
  }
  return real;
}
