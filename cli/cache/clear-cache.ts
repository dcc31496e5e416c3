/** Which namespaces of stored logits go, and what is said about it. */
import { InvalidArgumentError } from 'commander';
import { wallClockMs } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { logitsRoot } from '../../lib/base/folders.ts';
import { type Namespace, removeNamespace } from '../../lib/checkpoint/logits-cache/namespaces.ts';
import type { CliContext } from '../context.ts';
import { byteSize } from '../text.ts';
import { findNamespaces } from './find-namespaces.ts';

export interface ClearOptions {
  readonly all: boolean;
  /** Milliseconds. */
  readonly unusedFor?: number;
  readonly yes: boolean;
}

const HOUR_MS = 3_600_000;
const UNITS_MS: Readonly<Record<string, number>> = { h: HOUR_MS, d: 24 * HOUR_MS, w: 7 * 24 * HOUR_MS };

/** Such as 12h, 30d or 8w, in milliseconds. */
export function age(text: string): number {
  const [, count, unit = ''] = /^(\d{1,6})([hdw])$/.exec(text) ?? [];
  const unitMs = UNITS_MS[unit];
  if (count !== undefined && unitMs !== undefined) return Number(count) * unitMs;
  throw new InvalidArgumentError('Expected hours, days or weeks, such as 12h, 30d or 8w.');
}

/** @throws INVALID_ARGUMENT unless exactly one thing says which; FAILED_PRECONDITION for a named one that is being written */
export async function clearCache(name: string | undefined, options: ClearOptions, context: CliContext): Promise<void> {
  const { all, unusedFor, yes } = options;
  if ([name !== undefined, all, unusedFor !== undefined].filter(Boolean).length !== 1) {
    const message = 'say which: a namespace, --unused-for or --all, and one of them only';
    throw new StillhouseError('INVALID_ARGUMENT', message, { hint: 'see `stillhouse cache info`' });
  }
  const found = await findNamespaces(name, context);
  const namespaces = unusedFor === undefined ? found : found.filter((namespace) => isUnused(namespace, unusedFor));
  if (namespaces.length === 0) {
    const none = found.length === 0 ? 'nothing is stored' : 'nothing has been unused for so long';
    context.out(`${none} in ${logitsRoot(context.environment)}`);
    return;
  }
  for (const namespace of namespaces) {
    if (yes) await removeNamespace(namespace);
    context.out(`${yes ? 'removed' : 'would remove'} ${describe(namespace)}`);
  }
  if (!yes) context.note('nothing has been removed: add --yes');
}

/** What is being written is in use, whenever it was opened. */
function isUnused({ usedMs, writers }: Namespace, unusedForMs: number): boolean {
  return writers.length === 0 && wallClockMs() - usedMs >= unusedForMs;
}

function describe({ name, recipe, bytes }: Namespace): string {
  const what = recipe === null ? '' : `, teacher ${recipe.origin.teacher}, data set ${recipe.origin.dataset}`;
  return `${name}: ${byteSize(bytes)}${what}`;
}
