/** `docs/jobs.md` against the schema: what the schema's refusals say that it knows, the document has, and nothing else. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { parse } from 'yaml';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import { valueAt } from '../../../lib/wire/job-source.ts';

const DOCUMENT = readFileSync(new URL('../../../docs/jobs.md', import.meta.url), 'utf8');
/** The smallest job, as the document has it. */
const SMALLEST = DOCUMENT.match(/^```yaml\n(.*?)^```$/ms)?.[1] as string;

const NO_KEY = 'no-key';

/** A value of the whole job's key `top` with `inner` at the place that is looked at. */
interface Place {
  readonly top: string;
  readonly path: string;
  build(inner: unknown): unknown;
}

function refusalAt({ top, build }: Place, inner: unknown): string {
  try {
    parseJobFile(SMALLEST, { overrides: [`${top}=${JSON.stringify(build(inner))}`] });
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

const escaped = (text: string) => text.replace(/[.[\]]/g, '\\$&');

/** Every form that a block here can take, as the keys that decide on it; none where there is no block. */
function formsAt(place: Place): object[] {
  const refusal = refusalAt(place, { type: NO_KEY });
  const types = refusal.match(new RegExp(`^ *${escaped(place.path)}\\.type: expected one of (.*?), got`, 'm'))?.[1];
  if (types === undefined) return [{}];
  const names = types.split(', ').filter((name) => /^[a-z0-9-]+$/.test(name));
  return [...names.map((type) => ({ type })), ...(types.endsWith('or a module') ? [{ module: './it.ts' }] : [])];
}

/** Paths of all keys at and below a place. */
function keysBelow(place: Place): string[] {
  return formsAt(place).flatMap((form) => {
    const refusal = refusalAt(place, { ...form, [NO_KEY]: 1 });
    const at = new RegExp(
      `^ *${escaped(place.path)}\\.${NO_KEY}: unknown key; expected one of ([\\w, ]+?)(?: \\(|$)`,
      'm',
    );
    const keys =
      refusal
        .match(at)?.[1]
        ?.split(', ')
        .filter((key) => /^\w+$/.test(key)) ?? [];
    return keys.flatMap((key) => {
      const path = `${place.path}.${key}`;
      const build = (inner: unknown) => place.build({ ...form, [key]: inner });
      return [path, ...keysBelow({ top: place.top, path, build })];
    });
  });
}

function allKeys(): string[] {
  const refusal = refusalAt({ top: NO_KEY, path: '', build: (inner) => inner }, 1);
  const tops = refusal.match(/expected one of ([\w, ]+?) \(/)?.[1]?.split(', ') ?? [];
  return tops.flatMap((top) => {
    const isList = top === 'teachers' || top === 'students';
    const found = isList
      ? keysBelow({ top, path: `${top}[0]`, build: (inner) => [inner] })
      : keysBelow({ top, path: top, build: (inner) => inner });
    const losses =
      top === 'distill' ? keysBelow({ top, path: 'distill.loss[0]', build: (inner) => ({ loss: [inner] }) }) : [];
    return [top, ...found, ...losses];
  });
}

/** Where the document says it once for several places. */
function documentedAs(path: string): string {
  return path
    .replaceAll('[0]', '[]')
    .replace(/^teachers\[\]\.train\.(?!workers)/, 'train.')
    .replace(/^teachers\[\]\.views\./, 'data.views.')
    .replace(/^distill\.loss\[\]\.(weight|temperature)\./, 'distill.temperature.');
}

const KEYS = new Set(allKeys().map(documentedAs));

interface Row {
  readonly keys: readonly string[];
  readonly byDefault: string;
}

/** Of the tables whose first column is `key`. */
function rows(): Row[] {
  const tables = DOCUMENT.split(/\n\n/).filter((part) => /^\| key +\|/.test(part));
  return tables.flatMap((table) =>
    table
      .trim()
      .split('\n')
      .slice(2)
      .map((line) => {
        const [, first = '', , byDefault = ''] = line.split('|').map((cell) => cell.trim());
        return { keys: [...first.matchAll(/`([^`]+)`/g)].map(([, key]) => key as string), byDefault };
      }),
  );
}

test('every key of a job file is in the document', (t) => {
  const keys = [...KEYS];
  t.true(keys.includes('train.optimizer.schedule.everySteps') && keys.includes('distill.loss[].gamma'));
  const documented = rows().flatMap((row) => row.keys);
  // A block is there with its keys, a list with those of its entries.
  const isDocumented = (key: string) =>
    documented.some((one) => one === key || one.startsWith(`${key}.`) || one.startsWith(`${key}[]`));
  t.deepEqual(
    keys.filter((key) => !isDocumented(key)),
    [],
  );
});

test('every key in the document’s tables is one of a job file', (t) => {
  const documented = rows().flatMap(({ keys }) => keys);
  t.true(documented.length > 60, String(documented.length));
  t.deepEqual(
    documented.filter((key) => !KEYS.has(key)),
    [],
  );
});

/** Has what the smallest job has not: other optimizers, other terms. */
const OTHERS = ['train.optimizer.type=sgd', 'distill.loss=[{type: dkd, weight: 1}]'];

test('defaults in the document hold', (t) => {
  const specs = [parseJobFile(SMALLEST), parseJobFile(SMALLEST, { overrides: OTHERS })];
  const dist = parseJobFile(SMALLEST, { overrides: ['distill.loss=[{type: dist, weight: 1}]'] });
  let checked = 0;
  for (const { keys, byDefault } of rows()) {
    const expected = byDefault.match(/^`([^`]+)`$/)?.[1];
    if (expected === undefined) continue;
    for (const key of keys) {
      const path = key
        .replaceAll('[]', '.0')
        .split('.')
        .map((part) => (part === '0' ? 0 : part));
      const found = [...specs, dist].map((spec) => valueAt(spec, path)).find((value) => value !== undefined);
      if (found === undefined) continue;
      checked += 1;
      t.deepEqual(found, parse(expected), key);
    }
  }
  t.true(checked > 25, String(checked));
});
