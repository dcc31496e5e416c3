/** Namespaces of stored logits as commands name them. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { logitsRoot } from '../../lib/base/folders.ts';
import { listNamespaces, type Namespace } from '../../lib/checkpoint/logits-cache/namespaces.ts';
import type { CliContext } from '../context.ts';

/**
 * All of them, or the one whose name begins so.
 * @throws NOT_FOUND when there is none; INVALID_ARGUMENT when there are several
 */
export async function findNamespaces(beginning: string | undefined, context: CliContext): Promise<Namespace[]> {
  const root = logitsRoot(context.environment);
  const all = await listNamespaces(root);
  if (beginning === undefined) return all;
  const found = all.filter(({ name }) => name.startsWith(beginning));
  if (found.length === 1) return found;
  const hint = 'see `stillhouse cache info`';
  if (found.length > 1) {
    const message = `${beginning} may be ${found.map(({ name }) => name).join(' or ')}`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { hint });
  }
  throw new StillhouseError('NOT_FOUND', `there is no namespace ${beginning} in ${root}`, { hint });
}
