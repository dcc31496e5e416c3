/** The machine that a pickle is a program for: a stack, a memo, and what its instructions do with them. */
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

/** Stands on the stack where a mark was set. */
const MARK = Symbol('mark');

/** Stack, memo and place of a pickle that is being read. */
export class Machine {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #host: PickleHost;
  readonly #where: string;
  readonly #stack: unknown[] = [];
  readonly #memo = new Map<number, unknown>();
  /** The one that is being executed, for messages. */
  #instruction = '';
  #spent = 0;

  constructor(bytes: Uint8Array, offset: number, host: PickleHost, where: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = offset;
    this.#host = host;
    this.#where = where;
  }

  /** Reads the next opcode. */
  begin(): number {
    this.#instruction = `at byte ${this.at}`;
    this.spend(1);
    return this.byte();
  }

  /** Names the instruction that has begun. */
  name(name: string): void {
    this.#instruction += ` (${name})`;
  }

  /** @throws when there were too many instructions already */
  spend(instructions: number): void {
    this.#spent += instructions;
    if (this.#spent > INSTRUCTIONS_MAX) throw this.refuse(`has more than ${INSTRUCTIONS_MAX} instructions`);
  }

  unknownOpcode(code: number): StillhouseError {
    const name = `0x${code.toString(16).padStart(2, '0')}`;
    return new StillhouseError(
      'UNIMPLEMENTED',
      `${this.#where}: the pickle has the opcode ${name}, which is not read, ${this.#instruction}`,
      { field: this.#where, hint: 'weights are read from what torch.save(model.state_dict(), file) writes' },
    );
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

  pushMark(): void {
    this.push(MARK);
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

  /** Calls a global that may be called. What it may copy counts as instructions: the memo can hand over one list without end. */
  reduce(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!(callee instanceof PickleGlobal) || !Array.isArray(args)) {
      throw this.refuse('calls what cannot be called');
    }
    if (callee.call === null) throw this.refuse(`calls ${callee.name}, which builds no tensor`);
    for (const argument of args) this.spend(Array.isArray(argument) ? 1 + argument.length : 1);
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
