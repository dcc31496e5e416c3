/** Commands of a document in Markdown, and what it says that they answer. Pure. */

export interface DocumentedCommands {
  /** A fenced block of `sh`. */
  readonly commands: string;
  /** The block of `text` or `json` after it, if there is one. */
  readonly answer?: { readonly kind: 'text' | 'json'; readonly text: string };
}

export function documentedCommands(markdown: string): DocumentedCommands[] {
  const found: DocumentedCommands[] = [];
  for (const [, kind, text] of markdown.matchAll(/^```(\w+)\n(.*?)^```$/gms) as Iterable<string[]>) {
    const last = found.at(-1);
    if (kind === 'sh') found.push({ commands: text as string });
    else if ((kind === 'text' || kind === 'json') && last !== undefined) {
      if (last.answer !== undefined) throw new Error(`an answer to no commands:\n${text}`);
      found[found.length - 1] = { ...last, answer: { kind, text: text as string } };
    }
  }
  return found;
}

/** What differs from run to run. */
const ANYTHING = '…';

/** Line by line, indentation aside; `…` is any part of a line, and alone on a line any number of lines. */
export function textMatches(expected: string, actual: string): boolean {
  const lines = expected.trim().split('\n');
  const patterns = lines.map((line) =>
    line.trim() === ANYTHING ? '(?:.*\\n)*' : ` *${line.trim().split(ANYTHING).map(escaped).join('.*')} *\\n`,
  );
  return new RegExp(`^${patterns.join('')}$`).test(`${actual.trimEnd()}\n`);
}

/** Every entry of `expected` is in `actual`, lists as long; `"…"` is any value, and `…` in a text any part of it. */
export function jsonMatches(expected: unknown, actual: unknown): boolean {
  if (expected === ANYTHING) return actual !== undefined;
  if (typeof expected === 'string') return typeof actual === 'string' && textMatches(expected, actual);
  if (Array.isArray(expected)) {
    return (
      Array.isArray(actual) &&
      actual.length === expected.length &&
      expected.every((one, index) => jsonMatches(one, actual[index]))
    );
  }
  if (typeof expected !== 'object' || expected === null) return expected === actual;
  if (typeof actual !== 'object' || actual === null) return false;
  return Object.entries(expected).every(([key, value]) => jsonMatches(value, (actual as Record<string, unknown>)[key]));
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
