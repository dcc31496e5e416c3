/** Two readers of event files that share nothing with the writer: TensorBoard's, and one of our own. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { realCacheRoot } from './data-root.ts';

/** By run and tag, in the order of the file: wall time, step, value. */
export type Curves = Record<string, Record<string, [number, number, number][]>>;

/**
 * The curves of a log folder as TensorBoard itself reads them.
 *
 * @throws Error when it is not installed: what brings it
 */
export async function readCurvesWithTensorboard(folder: string): Promise<Curves> {
  const tensorboard = findTensorboard();
  const script = fileURLToPath(new URL('event_scalars.py', import.meta.url));
  // The set-up's folder stays as the set-up made it.
  const env = { ...process.env, PYTHONPATH: tensorboard, PYTHONDONTWRITEBYTECODE: '1' };
  const { stdout } = await promisify(execFile)('python3', ['-s', script, folder], { env });
  return JSON.parse(stdout) as Curves;
}

/** The folder for PYTHONPATH: where the set-up of `npm test` has put it. */
function findTensorboard(): string {
  const named = process.env.STILLHOUSE_TENSORBOARD;
  if (named !== undefined && named !== '') return named;
  const versions = path.join(realCacheRoot(), 'tools', 'tensorboard');
  const found = existsSync(versions) ? readdirSync(versions).sort().at(-1) : undefined;
  if (found === undefined) {
    throw new Error(`no TensorBoard in ${versions}: run npm test, or npm run setup -- --for-tests, which fetch it`);
  }
  return path.join(versions, found);
}

export interface ReadEvent {
  readonly wallTime: number;
  readonly step: number;
  readonly fileVersion: string | undefined;
  readonly scalars: Readonly<Record<string, number>>;
}

/** Bit by bit, for a few fields only. @throws Error when a record is cut short or a checksum does not match */
export function readEvents(file: Buffer): ReadEvent[] {
  const events: ReadEvent[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    requireCrc(file.subarray(at, at + 8), file.readUInt32LE(at + 8));
    const data = file.subarray(at + 12, at + 12 + length);
    requireCrc(data, file.readUInt32LE(at + 12 + length));
    events.push(readEvent(data));
    at += 12 + length + 4;
  }
  return events;
}

function requireCrc(data: Uint8Array, expected: number): void {
  const crc = BigInt(crc32c(data));
  const rotated = ((crc >> 15n) | (crc << 17n)) & 0xffffffffn;
  const masked = Number((rotated + 0xa282ead8n) & 0xffffffffn);
  if (masked !== expected) throw new Error(`checksum ${expected}, expected ${masked}`);
}

/** Castagnoli's polynomial, reflected, a bit at a time (RFC 3720, appendix B.4). */
function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

function readEvent(data: Buffer): ReadEvent {
  const fields = readFields(data);
  const values = readFields(bytesOf(fields.get(5)?.[0] ?? Buffer.alloc(0))).get(1) ?? [];
  const scalars = values.map((value) => {
    const entry = readFields(bytesOf(value));
    return [bytesOf(entry.get(1)?.[0]).toString(), bytesOf(entry.get(2)?.[0]).readFloatLE(0)] as const;
  });
  const version = fields.get(3)?.[0];
  return {
    wallTime: bytesOf(fields.get(1)?.[0]).readDoubleLE(0),
    step: Number(fields.get(2)?.[0] ?? 0),
    fileVersion: version === undefined ? undefined : bytesOf(version).toString(),
    scalars: Object.fromEntries(scalars),
  };
}

function bytesOf(value: Buffer | number | undefined): Buffer {
  if (value instanceof Buffer) return value;
  throw new Error(`expected bytes, got ${value}`);
}

/** Fields by their number: whole numbers, or the bytes of everything else. */
function readFields(data: Buffer): Map<number, (Buffer | number)[]> {
  const fields = new Map<number, (Buffer | number)[]>();
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = data.readUInt8(at++);
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
  };
  const bytes = (length: number) => {
    at += length;
    return data.subarray(at - length, at);
  };
  while (at < data.length) {
    const key = varint();
    const kind = key % 8;
    const value = kind === 0 ? varint() : bytes(kind === 1 ? 8 : kind === 5 ? 4 : varint());
    const number = Math.floor(key / 8);
    fields.set(number, [...(fields.get(number) ?? []), value]);
  }
  return fields;
}
