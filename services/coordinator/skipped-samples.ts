/** What a job's record says of the samples that it leaves out: it has to fit into one message, however long their paths are. */
import type { BadSample } from '../../lib/data/dataset.ts';

/** As JSON in UTF-8. A thousand samples, as many as a job may skip, are below 256 KiB. */
const SOURCE_BYTES_MAX = 120;
const REASON_BYTES_MAX = 80;

/** Of a long source the end is kept, the file and the place in it; of a long reason the beginning. The data set has all of it. */
export function skippedSamples(badSamples: readonly BadSample[]): BadSample[] {
  return badSamples.map(({ id, source, reason }) => ({
    id,
    source: endOf(source, SOURCE_BYTES_MAX),
    reason: startOf(reason, REASON_BYTES_MAX),
  }));
}

const ELLIPSIS = '…';

function startOf(text: string, bytes: number): string {
  if (storedBytes(text) <= bytes) return text;
  return fitting([...text], bytes - storedBytes(ELLIPSIS)).join('') + ELLIPSIS;
}

function endOf(text: string, bytes: number): string {
  if (storedBytes(text) <= bytes) return text;
  const backwards = fitting([...text].reverse(), bytes - storedBytes(ELLIPSIS));
  return ELLIPSIS + backwards.reverse().join('');
}

/** So many of the characters from the first on. */
function fitting(characters: readonly string[], bytes: number): string[] {
  let used = 0;
  const beyond = characters.findIndex((character) => {
    used += storedBytes(character);
    return used > bytes;
  });
  return characters.slice(0, beyond === -1 ? characters.length : beyond);
}

/** Without the quotes: control characters and quotes are escaped. */
function storedBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text)) - 2;
}
