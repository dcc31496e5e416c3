/**
 * The binary frame of gradient traffic: a header of 32 bytes, little endian, then the payload, which so starts at a
 * multiple of 4 bytes.
 *
 * | offset | field        | type | meaning                                                             |
 * |-------:|--------------|------|---------------------------------------------------------------------|
 * |      0 | version      | u8   | `FRAME_VERSION`                                                     |
 * |      1 | kind         | u8   | what the payload is: `FrameKind`                                    |
 * |      2 | part         | u16  | which part of the gradient                                          |
 * |      4 | leader epoch | u32  | of the coordinator that dealt the view                              |
 * |      8 | view         | u32  | frames of other views are dropped                                   |
 * |     12 | step         | u32  |                                                                     |
 * |     16 | tree node    | u32  | lanes that the sum covers: first lane u16, number of lanes u16      |
 * |     20 | chunk        | u16  | of this part, from 0                                                |
 * |     22 | chunks       | u16  | of this part                                                        |
 * |     24 | sample count | u32  | samples that the sum covers                                         |
 * |     28 | checksum     | u32  | CRC-32C of the 28 bytes before it and of the payload                |
 */
import { crc32c } from '@node-rs/crc32';
import { StillhouseError } from '../base/errors.ts';

export const FRAME_VERSION = 1;
export const FRAME_HEADER_BYTES = 32;
const CHECKSUM_OFFSET = 28;

export const FrameKind = {
  /** The sum over the lanes of a tree node, for the part's owner. */
  partialSum: 1,
  /** The average over all lanes, from the part's owner. */
  average: 2,
  /** A request to send again; the payload is of the requester's protocol. */
  resend: 3,
} as const;

export interface FrameHeader {
  readonly kind: number;
  readonly leaderEpoch: number;
  readonly view: number;
  readonly step: number;
  readonly part: number;
  /** The tree node, as the block of lanes that it covers. */
  readonly firstLane: number;
  readonly lanes: number;
  readonly chunk: number;
  readonly chunks: number;
  readonly samples: number;
}

export interface Frame extends FrameHeader {
  /** Shares the memory of the message. */
  readonly payload: Uint8Array;
}

const U8_MAX = 0xff;
const U16_MAX = 0xffff;
const U32_MAX = 0xffff_ffff;

const LIMITS: Readonly<Record<keyof FrameHeader, number>> = {
  kind: U8_MAX,
  leaderEpoch: U32_MAX,
  view: U32_MAX,
  step: U32_MAX,
  part: U16_MAX,
  firstLane: U16_MAX,
  lanes: U16_MAX,
  chunk: U16_MAX,
  chunks: U16_MAX,
  samples: U32_MAX,
};

/** Header and payload in one message. Throws INVALID_ARGUMENT when a field does not fit its width. */
export function encodeFrame(header: FrameHeader, payload: Uint8Array): Uint8Array {
  for (const [name, max] of Object.entries(LIMITS)) {
    const value = header[name as keyof FrameHeader];
    if (!Number.isInteger(value) || value < 0 || value > max) {
      throw new StillhouseError('INVALID_ARGUMENT', `frame field ${name} is ${value}, expected 0 to ${max}`, {
        field: name,
      });
    }
  }
  const message = new Uint8Array(FRAME_HEADER_BYTES + payload.byteLength);
  const view = new DataView(message.buffer);
  view.setUint8(0, FRAME_VERSION);
  view.setUint8(1, header.kind);
  view.setUint16(2, header.part, true);
  view.setUint32(4, header.leaderEpoch, true);
  view.setUint32(8, header.view, true);
  view.setUint32(12, header.step, true);
  view.setUint16(16, header.firstLane, true);
  view.setUint16(18, header.lanes, true);
  view.setUint16(20, header.chunk, true);
  view.setUint16(22, header.chunks, true);
  view.setUint32(24, header.samples, true);
  message.set(payload, FRAME_HEADER_BYTES);
  view.setUint32(CHECKSUM_OFFSET, checksumOf(message), true);
  return message;
}

/** Throws DATA_LOSS when the message is too short, of another version, or its checksum does not match. */
export function decodeFrame(message: Uint8Array): Frame {
  if (message.byteLength < FRAME_HEADER_BYTES) {
    throw new StillhouseError(
      'DATA_LOSS',
      `a frame of ${message.byteLength} bytes is shorter than its header of ${FRAME_HEADER_BYTES}`,
    );
  }
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const version = view.getUint8(0);
  if (version !== FRAME_VERSION) {
    throw new StillhouseError('DATA_LOSS', `a frame has version ${version}, expected ${FRAME_VERSION}`, {
      hint: 'run the same release everywhere',
    });
  }
  if (view.getUint32(CHECKSUM_OFFSET, true) !== checksumOf(message)) {
    throw new StillhouseError('DATA_LOSS', 'a frame does not match its checksum');
  }
  return {
    kind: view.getUint8(1),
    part: view.getUint16(2, true),
    leaderEpoch: view.getUint32(4, true),
    view: view.getUint32(8, true),
    step: view.getUint32(12, true),
    firstLane: view.getUint16(16, true),
    lanes: view.getUint16(18, true),
    chunk: view.getUint16(20, true),
    chunks: view.getUint16(22, true),
    samples: view.getUint32(24, true),
    payload: message.subarray(FRAME_HEADER_BYTES),
  };
}

/**
 * The payload as float32 values. Shares memory where the alignment allows it, else copies. Throws DATA_LOSS when it is
 * not a whole number of values.
 */
export function payloadFloats(payload: Uint8Array): Float32Array {
  if (payload.byteLength % Float32Array.BYTES_PER_ELEMENT !== 0) {
    throw new StillhouseError('DATA_LOSS', `a payload of ${payload.byteLength} bytes is no float32 array`);
  }
  const aligned = payload.byteOffset % Float32Array.BYTES_PER_ELEMENT === 0 ? payload : new Uint8Array(payload);
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / Float32Array.BYTES_PER_ELEMENT);
}

function checksumOf(message: Uint8Array): number {
  const header = crc32c(asBuffer(message.subarray(0, CHECKSUM_OFFSET)));
  return crc32c(asBuffer(message.subarray(FRAME_HEADER_BYTES)), header);
}

/** The native function takes Node's Buffer only. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
