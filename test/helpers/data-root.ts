/** Where the set-up has put the data sets, found as the services find them. */
import { dataRoot } from '../../lib/base/folders.ts';

export function realDataRoot(): string {
  return dataRoot(process.env);
}
