/** Whether a teacher that can be reached answers, too. Pure. */

/** One failure may be over by the next batch; what fails again without an answer in between is as good as gone. */
const FAILURES_MAX = 2;
/** So long a teacher may have no room, as far as it has answered nothing meanwhile. */
const NO_ROOM_MS_MAX = 30_000;

export class TeacherTrust {
  #failures = 0;
  #noRoom = NEVER;

  /** Whether it has failed since its latest answer. */
  get hasFailed(): boolean {
    return this.#failures > 0;
  }

  /** Whether it counts as gone, until it answers. It is tried all the same. */
  get isGone(): boolean {
    return this.#failures >= FAILURES_MAX;
  }

  answered(): void {
    this.#failures = 0;
    this.#noRoom = NEVER;
  }

  failed(): void {
    this.#failures += 1;
  }

  /** To be called when it has refused a batch for want of room or time. @returns whether it has done nothing else for too long */
  hadNoRoom(nowMs: number): boolean {
    const { sinceMs, latestMs } = this.#noRoom;
    this.#noRoom = { sinceMs: nowMs - latestMs > NO_ROOM_MS_MAX ? nowMs : sinceMs, latestMs: nowMs };
    return nowMs - this.#noRoom.sinceMs >= NO_ROOM_MS_MAX;
  }
}

const NEVER = { sinceMs: Number.NEGATIVE_INFINITY, latestMs: Number.NEGATIVE_INFINITY };
