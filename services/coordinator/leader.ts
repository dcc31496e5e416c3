/** Which coordinator leads: a record in `still_leader` whose revision is the leader epoch of every command. */
import { wallClockIso } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { KeyValue } from '../../lib/wire/kv.ts';
import { encodeJson } from '../../lib/wire/records.ts';

const LEADER_KEY = 'coordinator';
const CLAIM_TRIES = 5;

/**
 * Takes the lead by compare-and-set and answers the epoch, higher than every one before. Takes it from whoever has it:
 * workers then refuse the other's commands, and `watchLeader` tells it.
 */
export async function claimLead(bucket: KeyValue, id: string): Promise<number> {
  for (let tries = 0; tries < CLAIM_TRIES; tries++) {
    const value = encodeJson({ id, since: wallClockIso() });
    const current = await bucket.get(LEADER_KEY);
    try {
      if (current === undefined) return await bucket.create(LEADER_KEY, value);
      return await bucket.update(LEADER_KEY, value, current.revision);
    } catch (error) {
      const { code } = StillhouseError.from(error);
      if (code !== 'ABORTED' && code !== 'ALREADY_EXISTS') throw error;
    }
  }
  throw new StillhouseError('ABORTED', 'other coordinators keep taking the lead', {
    hint: 'run one coordinator per NATS server',
  });
}

/** Calls `onDeposed` once another coordinator has taken the lead. */
export function watchLeader(
  bucket: KeyValue,
  epoch: number,
  onDeposed: (error: StillhouseError) => void,
): Promise<() => void> {
  return bucket.watch((key, _value, revision) => {
    if (key === LEADER_KEY && revision > epoch) onDeposed(deposed());
  });
}

export function deposed(): StillhouseError {
  return new StillhouseError('ABORTED', 'another coordinator has taken the lead on this NATS server', {
    hint: 'run one coordinator per NATS server',
  });
}
