/** Rules of the tree that no compiler checks: which way imports point, what only one place may touch, no dead files. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const root = path.resolve(fileURLToPath(import.meta.url), '../..');

/** In the order of the data path: a folder may import itself and what stands before it. */
const LIB_ORDER = ['base', 'data', 'engine', 'model', 'distill', 'gradient', 'checkpoint', 'wire'];

interface Source {
  /** From the root, with slashes. */
  readonly file: string;
  readonly text: string;
  /** Relative imports, resolved from the root; packages as they are named. */
  readonly imports: readonly string[];
}

function filesBelow(folder: string): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const file = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === 'generated' ? [] : filesBelow(file);
    return entry.name.endsWith('.ts') ? [file] : [];
  });
}

function readSource(file: string): Source {
  const text = readFileSync(path.join(root, file), 'utf8');
  const found = text.matchAll(
    /(?:from|import)\s*\(?\s*'([^']+)'|new URL\(\s*[`']([^`']+)[`']|'((?:services|cli|lib)\/[^']+)'/g,
  );
  const imports = [...found].map(([, module, url, program]) => {
    // Programs that are started as processes are named from the root.
    const name = (module ?? url ?? program) as string;
    return name.startsWith('.') ? path.posix.join(path.posix.dirname(file), name) : name;
  });
  return { file, text, imports };
}

const product = ['lib', 'services', 'cli'].flatMap(filesBelow).map(readSource);
const tests = filesBelow('test').map(readSource);

/** Where a file stands: `lib/data`, `services/router`, `cli`. */
function homeOf(file: string): string {
  const [top, second] = file.split('/') as [string, string];
  return top === 'cli' ? 'cli' : `${top}/${second}`;
}

function mayImport(from: string, to: string): boolean {
  const source = homeOf(from);
  const target = homeOf(to);
  if (source === target) return true;
  if (!target.startsWith('lib/')) return false;
  const rank = (home: string) =>
    home.startsWith('lib/') ? LIB_ORDER.indexOf(home.slice('lib/'.length)) : LIB_ORDER.length;
  return rank(target) !== -1 && rank(target) < rank(source);
}

test('imports point one way along the data path', (t) => {
  const wrong = product.flatMap(({ file, imports }) =>
    imports
      .filter((target) => target.endsWith('.ts') && !target.includes('/generated/') && !mayImport(file, target))
      .map((target) => `${file} → ${target}`),
  );
  t.deepEqual(wrong, []);
});

test('every folder of lib has its place in the order', (t) => {
  const folders = readdirSync(path.join(root, 'lib'));
  t.deepEqual(
    folders.filter((folder) => !LIB_ORDER.includes(folder)),
    [],
  );
});

const entryPoints = /^services\/[^/]+\/main\.ts$|^cli\/main\.ts$/;

const bans: { what: string; pattern: RegExp; allowed: RegExp }[] = [
  {
    what: 'clocks and timers',
    pattern: /\bDate\.now\(|\bnew Date\(|\bsetTimeout\(|\bsetInterval\(|\bperformance\.now\(/,
    allowed: /^lib\/base\//,
  },
  { what: 'unseeded randomness', pattern: /\bMath\.random\(|\brandomBytes\(|\brandomUUID\(/, allowed: /^lib\/base\// },
  {
    what: 'the environment',
    pattern: /\bprocess\.env\b/,
    allowed: /^lib\/base\/|^lib\/engine\/(environment|fingerprint)\.ts$|^cli\//,
  },
  { what: 'TensorFlow', pattern: /'@tensorflow\//, allowed: /^lib\/engine\// },
  { what: 'ONNX Runtime', pattern: /'onnxruntime-node'/, allowed: /^lib\/engine\/onnx-runtime\.ts$/ },
  { what: 'NATS', pattern: /from 'nats'/, allowed: /^lib\/wire\/nats\.ts$/ },
  { what: 'swallowed errors', pattern: /catch\s*(\([^)]*\))?\s*\{\s*\}/, allowed: /^$/ },
  { what: 'the end of the process', pattern: /\bprocess\.exit\(/, allowed: /^lib\/base\/process\.ts$|^cli\// },
];

for (const { what, pattern, allowed } of bans) {
  test(`only one place touches ${what}`, (t) => {
    const offenders = product.filter(({ file, text }) => pattern.test(text) && !allowed.test(file));
    t.deepEqual(
      offenders.map(({ file }) => file),
      [],
    );
  });
}

test('no test is skipped, expected to fail or run alone', (t) => {
  const offenders = tests.filter(({ text }) => /\btest(\.serial)?\.(skip|only|todo|failing)\b/.test(text));
  t.deepEqual(
    offenders.map(({ file }) => file),
    [],
  );
});

test('every file is used', (t) => {
  const withoutExtension = (name: string) => name.replace(/(\.ts|\$\{extension\})$/, '');
  const used = new Set([...product, ...tests].flatMap(({ imports }) => imports.map(withoutExtension)));
  const dead = product.filter(({ file }) => !entryPoints.test(file) && !used.has(withoutExtension(file)));
  t.deepEqual(
    dead.map(({ file }) => file),
    [],
  );
});

test('every field and value on the wire is explained', (t) => {
  const protos = readdirSync(path.join(root, 'proto'), { recursive: true, encoding: 'utf8' });
  const silent = protos
    .filter((file) => file.endsWith('.proto'))
    .flatMap((file) => {
      const lines = readFileSync(path.join(root, 'proto', file), 'utf8').split('\n');
      return lines.flatMap((line, index) => {
        const isEntry = /^\s+(?:(?:repeated |optional )?[\w.<>, ]+ )?\w+ = \d+;|^\s+rpc /.test(line);
        return isEntry && !/^\s*\/\//.test(lines[index - 1] ?? '') ? [`${file}:${index + 1} ${line.trim()}`] : [];
      });
    });
  t.deepEqual(silent, []);
});

const MAINS = [
  'cli/main.ts',
  ...[
    'coordinator/main',
    'router/main',
    'student-worker/train-main',
    'student-worker/serve-main',
    'teacher-worker/main',
  ].map((name) => `services/${name}.ts`),
];

/**
 * The command line can then tell that the engine is missing, and a service's main thread has neither TensorFlow's start nor its
 * memory: compute threads have them.
 */
test('neither the command line nor the main thread of a service loads TensorFlow', (t) => {
  for (const entry of MAINS) {
    const seen = new Map<string, string>([[entry, '']]);
    for (const file of seen.keys()) {
      const text = readFileSync(path.join(root, file), 'utf8');
      for (const [, names = '', module = ''] of text.matchAll(
        /^(?:import|export)(?!\s+type\b)\s+(?:([^'";]*?)\s*from\s*)?'(\.[^']+\.ts)'/gm,
      )) {
        const isTypesOnly = /^\{/.test(names) && names.split(',').every((name) => /^[{\s]*(type\s|\}|$)/.test(name));
        const target = path.posix.join(path.posix.dirname(file), module);
        if (!isTypesOnly && !seen.has(target)) seen.set(target, file);
      }
    }
    t.true(seen.size > 20, entry);
    const chain: string[] = [];
    for (let file: string | undefined = 'lib/engine/tf.ts'; seen.get(file); file = seen.get(file) as string) {
      chain.push(`${seen.get(file)} imports ${file}`);
    }
    t.deepEqual(chain, []);
  }
});
