/**
 * Reads Python pickles, protocols 2 to 5, without running anything: the host says what the few globals that it knows stand
 * for, and every other class or function is refused by its name before anything could be done with it. Plain data becomes
 * JavaScript's: dict → Map, list and tuple → array, int → number (or bigint where a number is not exact), None → null.
 * Opcodes: Python's `Lib/pickletools.py`.
 */
import { StillhouseError } from '../base/errors.ts';
import { decodeUtf8 } from '../data/json-document.ts';

/** What stands for a Python class or function. */
export class PickleGlobal {
  /** `module.name` */
  readonly name: string;
  /** What a call of it gives; null where it may be named but not called. */
  readonly call: ((args: readonly unknown[]) => unknown) | null;

  constructor(name: string, call: PickleGlobal['call']) {
    this.name = name;
    this.call = call;
  }
}

export interface PickleHost {
  /** @throws for every global that it does not know */
  global(module: string, name: string): PickleGlobal;
  /** What a persistent id stands for. */
  persistent(id: unknown): unknown;
}

/** A model's pickle takes some thirty per tensor. The limit bounds the memory that a small hostile file can take. */
const INSTRUCTIONS_MAX = 1_000_000;
/** Bytes of a long integer; PyTorch's magic number has ten. */
const LONG_BYTES_MAX = 16;

/**
 * Reads the pickle that begins at `offset`.
 *
 * @param where names the file in errors.
 * @returns `end`: the offset behind it
 * @throws StillhouseError INVALID_ARGUMENT when it is malformed, cut off, too large, or holds what the host does not know;
 *   UNIMPLEMENTED for an opcode that data alone does not need.
 */
export function unpickle(
  bytes: Uint8Array,
  offset: number,
  host: PickleHost,
  where: string,
): { value: unknown; end: number } {
  const machine = new Machine(bytes, offset, host, where);
  for (let count = 0; count < INSTRUCTIONS_MAX; count++) {
    if (machine.step()) return { value: machine.pop(), end: machine.at };
  }
  throw machine.refuse(`has more than ${INSTRUCTIONS_MAX} instructions`);
}

/** Stands on the stack where a mark was set. */
const MARK = Symbol('mark');

class Machine {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #host: PickleHost;
  readonly #where: string;
  readonly #stack: unknown[] = [];
  readonly #memo = new Map<number, unknown>();
  /** The one that is being executed, for messages. */
  #instruction = '';

  constructor(bytes: Uint8Array, offset: number, host: PickleHost, where: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = offset;
    this.#host = host;
    this.#where = where;
  }

  /** Executes one instruction; true when it was the last. */
  step(): boolean {
    this.#instruction = `at byte ${this.at}`;
    const code = this.byte();
    if (code === STOP) return true;
    const opcode = INSTRUCTIONS.get(code);
    if (opcode === undefined) {
      const name = `0x${code.toString(16).padStart(2, '0')}`;
      throw new StillhouseError(
        'UNIMPLEMENTED',
        `${this.#where}: the pickle has the opcode ${name}, which is not read, ${this.#instruction}`,
        { field: this.#where, hint: 'weights are read from what torch.save(model.state_dict(), file) writes' },
      );
    }
    this.#instruction += ` (${opcode.name})`;
    opcode.execute(this);
    return false;
  }

  refuse(problem: string): StillhouseError {
    return new StillhouseError('INVALID_ARGUMENT', `${this.#where}: the pickle ${problem}, ${this.#instruction}`, {
      field: this.#where,
    });
  }

  take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.at) throw this.refuse('is cut off');
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  byte(): number {
    return this.take(1)[0] as number;
  }

  uint16(): number {
    this.take(2);
    return this.#view.getUint16(this.at - 2, true);
  }

  uint32(): number {
    this.take(4);
    return this.#view.getUint32(this.at - 4, true);
  }

  int32(): number {
    return this.uint32() | 0;
  }

  uint64(): number {
    this.take(8);
    // Lengths: beyond 2^53 it is inexact, and longer than any file all the same.
    return Number(this.#view.getBigUint64(this.at - 8, true));
  }

  /** Big-endian, alone among the numbers. */
  float64(): number {
    this.take(8);
    return this.#view.getFloat64(this.at - 8, false);
  }

  text(length: number): string {
    return decodeUtf8(this.take(length), `${this.#where}: a text in the pickle`);
  }

  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.at);
    if (end === -1) throw this.refuse('is cut off');
    const text = this.text(end - this.at);
    this.at = end + 1;
    return text;
  }

  /** Little-endian two's complement. */
  long(length: number): number | bigint {
    if (length > LONG_BYTES_MAX) throw this.refuse(`has an integer of ${length} bytes`);
    const digits = this.take(length);
    let value = 0n;
    for (let index = length - 1; index >= 0; index--) value = (value << 8n) | BigInt(digits[index] as number);
    const signed = BigInt.asIntN(8 * length, value);
    const number = Number(signed);
    return Number.isSafeInteger(number) ? number : signed;
  }

  push(value: unknown): void {
    this.#stack.push(value);
  }

  pop(): unknown {
    const value = this.#stack.pop();
    if (value === undefined || value === MARK) throw this.refuse('takes a value that is not there');
    return value;
  }

  top(): unknown {
    const value = this.pop();
    this.push(value);
    return value;
  }

  /** What stands above the last mark, which goes too. */
  popMark(): unknown[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark === -1) throw this.refuse('takes values up to a mark that is not there');
    const values = this.#stack.splice(mark);
    values.shift();
    return values;
  }

  popText(): string {
    const value = this.pop();
    if (typeof value === 'string') return value;
    throw this.refuse('names a class by what is no text');
  }

  remember(index: number): void {
    this.#memo.set(index, this.top());
  }

  rememberNext(): void {
    this.remember(this.#memo.size);
  }

  recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.refuse(`refers to entry ${index} of its memo, which is not there`);
    this.push(value);
  }

  /** @throws what the host says to a global that it does not know */
  pushGlobal(module: string, name: string): void {
    this.push(this.#host.global(module, name));
  }

  pushPersistent(id: unknown): void {
    this.push(this.#host.persistent(id));
  }

  append(values: readonly unknown[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw this.refuse('appends to what is no list');
    for (const value of values) list.push(value);
  }

  setItems(values: readonly unknown[]): void {
    const target = this.top();
    if (!(target instanceof Map) || values.length % 2 !== 0) {
      throw this.refuse('sets items of what is no dict');
    }
    for (let index = 0; index < values.length; index += 2) target.set(values[index], values[index + 1]);
  }

  /** Calls a global that may be called. */
  reduce(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!(callee instanceof PickleGlobal) || !Array.isArray(args)) {
      throw this.refuse('calls what cannot be called');
    }
    if (callee.call === null) throw this.refuse(`calls ${callee.name}, which builds no tensor`);
    this.push(callee.call(args));
  }

  /** An object's attributes: an OrderedDict's (`_metadata` of a state dict) are of no use here; nothing else has any. */
  build(): void {
    const state = this.pop();
    if (this.top() instanceof Map && (state === null || state instanceof Map)) return;
    throw this.refuse('sets the state of an object that is no OrderedDict');
  }

  /** INST, OBJ and NEWOBJ make instances of classes; nothing that holds tensors is made that way. */
  refuseInstance(callee: unknown): StillhouseError {
    const name = callee instanceof PickleGlobal ? callee.name : 'something that is no class';
    return this.refuse(`makes an instance of ${name}, which builds no tensor`);
  }
}

const STOP = 0x2e;

const OPCODES: readonly (readonly [code: number, name: string, execute: (machine: Machine) => void])[] = [
  // PROTO and FRAME only announce.
  [0x80, 'PROTO', (m) => requireProtocol(m, m.byte())],
  [0x95, 'FRAME', (m) => void m.uint64()],
  [0x28, 'MARK', (m) => m.push(MARK)],
  [0x30, 'POP', (m) => void m.pop()],
  [0x31, 'POP_MARK', (m) => void m.popMark()],
  [0x32, 'DUP', (m) => m.push(m.top())],
  [0x4e, 'NONE', (m) => m.push(null)],
  [0x88, 'NEWTRUE', (m) => m.push(true)],
  [0x89, 'NEWFALSE', (m) => m.push(false)],
  // Numbers.
  [0x4a, 'BININT', (m) => m.push(m.int32())],
  [0x4b, 'BININT1', (m) => m.push(m.byte())],
  [0x4d, 'BININT2', (m) => m.push(m.uint16())],
  [0x8a, 'LONG1', (m) => m.push(m.long(m.byte()))],
  [0x8b, 'LONG4', (m) => m.push(m.long(m.uint32()))],
  [0x47, 'BINFLOAT', (m) => m.push(m.float64())],
  // Texts and bytes; those of Python 2 (T, U) are ASCII where PyTorch wrote them.
  [0x54, 'BINSTRING', (m) => m.push(m.text(m.uint32()))],
  [0x55, 'SHORT_BINSTRING', (m) => m.push(m.text(m.byte()))],
  [0x58, 'BINUNICODE', (m) => m.push(m.text(m.uint32()))],
  [0x8c, 'SHORT_BINUNICODE', (m) => m.push(m.text(m.byte()))],
  [0x8d, 'BINUNICODE8', (m) => m.push(m.text(m.uint64()))],
  [0x42, 'BINBYTES', (m) => m.push(m.take(m.uint32()))],
  [0x43, 'SHORT_BINBYTES', (m) => m.push(m.take(m.byte()))],
  [0x8e, 'BINBYTES8', (m) => m.push(m.take(m.uint64()))],
  [0x96, 'BYTEARRAY8', (m) => m.push(m.take(m.uint64()))],
  // Lists, tuples, dicts.
  [0x5d, 'EMPTY_LIST', (m) => m.push([])],
  [0x61, 'APPEND', (m) => m.append([m.pop()])],
  [0x65, 'APPENDS', (m) => m.append(m.popMark())],
  [0x6c, 'LIST', (m) => m.push(m.popMark())],
  [0x29, 'EMPTY_TUPLE', (m) => m.push([])],
  [0x74, 'TUPLE', (m) => m.push(m.popMark())],
  [0x85, 'TUPLE1', (m) => m.push([m.pop()])],
  [0x86, 'TUPLE2', (m) => m.push([m.pop(), m.pop()].reverse())],
  [0x87, 'TUPLE3', (m) => m.push([m.pop(), m.pop(), m.pop()].reverse())],
  [0x7d, 'EMPTY_DICT', (m) => m.push(new Map())],
  [0x73, 'SETITEM', (m) => m.setItems([m.pop(), m.pop()].reverse())],
  [0x75, 'SETITEMS', (m) => m.setItems(m.popMark())],
  [0x64, 'DICT', (m) => pushDict(m, m.popMark())],
  // The memo.
  [0x71, 'BINPUT', (m) => m.remember(m.byte())],
  [0x72, 'LONG_BINPUT', (m) => m.remember(m.uint32())],
  [0x94, 'MEMOIZE', (m) => m.rememberNext()],
  [0x68, 'BINGET', (m) => m.recall(m.byte())],
  [0x6a, 'LONG_BINGET', (m) => m.recall(m.uint32())],
  // Classes, functions and objects.
  [0x63, 'GLOBAL', (m) => m.pushGlobal(m.line(), m.line())],
  [0x93, 'STACK_GLOBAL', pushStackGlobal],
  [0x51, 'BINPERSID', (m) => m.pushPersistent(m.pop())],
  [0x52, 'REDUCE', (m) => m.reduce()],
  [0x62, 'BUILD', (m) => m.build()],
  [0x69, 'INST', refuseInst],
  [0x6f, 'OBJ', (m) => refuse(m.refuseInstance(m.popMark()[0]))],
  [0x81, 'NEWOBJ', (m) => refuse(m.refuseInstance([m.pop(), m.pop()][1]))],
  [0x92, 'NEWOBJ_EX', (m) => refuse(m.refuseInstance([m.pop(), m.pop(), m.pop()][2]))],
];
const INSTRUCTIONS = new Map(OPCODES.map(([code, name, execute]) => [code, { name, execute }]));

const PROTOCOLS = [2, 3, 4, 5];

function requireProtocol(machine: Machine, protocol: number): void {
  if (!PROTOCOLS.includes(protocol)) {
    throw machine.refuse(`is of protocol ${protocol}; read are ${PROTOCOLS.join(', ')}`);
  }
}

function pushDict(machine: Machine, values: readonly unknown[]): void {
  machine.push(new Map());
  machine.setItems(values);
}

function pushStackGlobal(machine: Machine): void {
  const name = machine.popText();
  machine.pushGlobal(machine.popText(), name);
}

function refuseInst(machine: Machine): void {
  // Names the class as the host would, where the host does not know it.
  machine.pushGlobal(machine.line(), machine.line());
  throw machine.refuseInstance(machine.pop());
}

function refuse(error: StillhouseError): never {
  throw error;
}
