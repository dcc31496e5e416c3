/** Puts a teacher's files into a folder as a worker does; before the last of them it waits for a line of standard input. */
import { once } from 'node:events';
import { createFolderStore } from '../../lib/checkpoint/store.ts';
import { materialise } from '../../lib/wire/teachers/model-files.ts';

const [store = '', digest = '', last = '', folder = ''] = process.argv.slice(2);
const objects = createFolderStore(store);
const get = async (wanted: string) => {
  if (wanted === last) {
    process.stdout.write('waits\n');
    await once(process.stdin, 'data');
  }
  return objects.get(wanted);
};
await materialise({ ...objects, get }, digest, folder);
process.stdin.destroy();
