/** A reader thread: answers requests one after the other with images, which it hands over. */
import { parentPort } from 'node:worker_threads';
import { failureOf } from '../base/thread-failure.ts';
import { ImageReader } from './image-reader.ts';
import { giveBackRoom } from './image-room.ts';
import type { ThreadReply, ThreadRequest } from './read-request.ts';

const reader = new ImageReader({ mayBlock: true });
/** One after the other: each request takes memory for its images. */
let last: Promise<void> = Promise.resolve();

parentPort?.on('message', (asked: ThreadRequest) => {
  last = last.then(() => answer(asked));
});

async function answer({ number, request, room }: ThreadRequest): Promise<void> {
  try {
    if (room !== undefined) giveBackRoom(room);
    const images = await reader.read(request);
    const reply: ThreadReply = { number, images };
    parentPort?.postMessage(reply, [images.buffer as ArrayBuffer]);
  } catch (error) {
    const reply: ThreadReply = { number, failure: failureOf(error, 'reading images') };
    parentPort?.postMessage(reply);
  }
}
