/** What a child's log says about its end. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const TAIL_BYTES = 16 * 1024;
const TAIL_LINES = 5;

/** `; it said last: <line> (log: <path>)`, for the end of a sentence about the child. */
export function explainLog(logPath: string): string {
  const said = lastWords(readTail(logPath));
  return `${said === '' ? '' : `; it said last: ${said}`} (log: ${logPath})`;
}

/** Our services end with one plain line `<service>: <reason>` (see `runProcess`); else the first line of a stack trace, or
 * the last lines there are. */
export function lastWords(log: string): string {
  const lines = log.split('\n').filter((line) => line.trim() !== '');
  const plain = lines.filter((line) => !line.startsWith('{'));
  const reason = plain.findLast((line) => /^[a-z][a-z-]*: \S/.test(line));
  if (reason !== undefined) return reason;
  const thrown = plain.findLast((line) => /^(\w*Error\b|\[FTL\])/.test(line));
  if (thrown !== undefined) return thrown;
  return lines.slice(-TAIL_LINES).map(readable).join(' | ');
}

/** A JSON log line as its message. */
function readable(line: string): string {
  if (!line.startsWith('{')) return line.trim();
  try {
    const { msg } = JSON.parse(line) as { msg?: unknown };
    return typeof msg === 'string' ? msg : line;
  } catch {
    return line; // Cut off, or not JSON after all.
  }
}

function readTail(path: string): string {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES));
    const length = readSync(file, bytes, 0, bytes.length, size - bytes.length);
    return bytes.toString('utf8', 0, length);
  } finally {
    closeSync(file);
  }
}
