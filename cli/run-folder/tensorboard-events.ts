/**
 * Bytes of TensorBoard's event files: records in the framing of TFRecord
 * (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details) around messages of
 * tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto, as far as scalars need them. Pure.
 */
import { crc32c } from '@node-rs/crc32';
import protobuf from 'protobufjs';

/** Values by their tag. */
export type Scalars = Readonly<Record<string, number>>;

/** The first event of a file says that events follow in this version. */
const FILE_VERSION = 'brain.Event:2';
const MASK_DELTA = 0xa282ead8;
const LENGTH_BYTES = 8;
const CRC_BYTES = 4;

const root = protobuf.Root.fromJSON({
  nested: {
    Event: {
      fields: {
        wallTime: { type: 'double', id: 1 },
        step: { type: 'int64', id: 2 },
        fileVersion: { type: 'string', id: 3 },
        summary: { type: 'Summary', id: 5 },
      },
    },
    Summary: {
      fields: { value: { rule: 'repeated', type: 'Value', id: 1 } },
      nested: {
        Value: { fields: { tag: { type: 'string', id: 1 }, simpleValue: { type: 'float', id: 2 } } },
      },
    },
  },
});
const eventType = root.lookupType('Event');

/** The record that a file starts with. @param wallTime seconds since 1970 */
export function versionRecord(wallTime: number): Uint8Array {
  return record({ wallTime, fileVersion: FILE_VERSION });
}

/** A record with the values at one step. @param wallTime seconds since 1970 */
export function scalarsRecord(wallTime: number, step: number, scalars: Scalars): Uint8Array {
  const value = Object.entries(scalars).map(([tag, simpleValue]) => ({ tag, simpleValue }));
  return record({ wallTime, step, summary: { value } });
}

/** Length, its checksum, the event, its checksum; numbers are little-endian. */
function record(event: object): Uint8Array {
  const data = eventType.encode(eventType.fromObject(event)).finish();
  const bytes = Buffer.alloc(LENGTH_BYTES + CRC_BYTES + data.length + CRC_BYTES);
  bytes.writeBigUInt64LE(BigInt(data.length), 0);
  bytes.writeUInt32LE(maskedCrc(bytes.subarray(0, LENGTH_BYTES)), LENGTH_BYTES);
  bytes.set(data, LENGTH_BYTES + CRC_BYTES);
  bytes.writeUInt32LE(maskedCrc(data), LENGTH_BYTES + CRC_BYTES + data.length);
  return bytes;
}

/** A checksum of data that holds checksums would be weak: TFRecord rotates it and adds a constant. */
function maskedCrc(data: Uint8Array): number {
  const crc = crc32c(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}
