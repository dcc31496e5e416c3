/** Memory of images is used again, and only by one at a time. */
import test from 'ava';
import { giveBackRoom, takeIdleRoom, takeRoom } from '../../../lib/data/image-room.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

test('images in memory that is used again are those of new memory, with and without threads', async (t) => {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'd');
  const fresh = await openDataset(root, 'd', { threads: 0 });
  for (const threads of [0, 1]) {
    const dataset = await openDataset(root, 'd', { threads });
    for (const ids of [
      [0, 1, 2],
      [5, 4, 3],
      [2, 2, 6],
    ]) {
      const images = await dataset.load(ids);
      t.deepEqual(images, await fresh.load(ids), `${threads} threads, ids ${ids}`);
      giveBackRoom(images);
    }
    t.not(takeIdleRoom(3 * 3072), undefined, 'what was given back last lies ready');
    await dataset.close();
  }
  await fresh.close();
});

test('room is given to one at a time, even when it comes back twice', (t) => {
  const room = takeRoom(101);
  giveBackRoom(room);
  giveBackRoom(room);
  const again = takeRoom(101);
  t.is(again.buffer, room.buffer);
  t.not(takeRoom(101).buffer, room.buffer);
  t.is(takeIdleRoom(102), undefined);
});

test('neither parts of something larger are kept, nor what was handed to a thread, nor more than a bound', (t) => {
  giveBackRoom(new Float32Array(204).subarray(0, 102));
  t.is(takeIdleRoom(102), undefined);
  const gone = new Float32Array(103);
  structuredClone(gone, { transfer: [gone.buffer] });
  giveBackRoom(gone);
  t.is(takeIdleRoom(0), undefined);
  const values = 2 ** 22;
  for (let count = 0; count < 6; count++) giveBackRoom(new Float32Array(values));
  let kept = 0;
  while (takeIdleRoom(values) !== undefined) kept++;
  t.is(kept, 4);
});
