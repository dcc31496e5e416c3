/** A process that opens one file through the shard cache and writes it to its output: `fetch-entry.ts URL FILE BYTES SHA256 CACHE`. */
import { openPlace } from '../../../../lib/data/places/place.ts';
import { bytesOf } from '../../../helpers/open-files.ts';

const [url, file, bytes, sha256, folder] = process.argv.slice(2) as [string, string, string, string, string];
const place = openPlace(url, { shardCache: { folder, limitBytes: 2 ** 30 } });
process.stdout.write(await bytesOf(place.openFile(file, { bytes: Number(bytes), sha256 })));
