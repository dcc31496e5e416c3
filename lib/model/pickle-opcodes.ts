/** The instructions of pickles, by their opcodes: Python's `Lib/pickletools.py`. */
import type { StillhouseError } from '../base/errors.ts';
import type { Machine } from './pickle-machine.ts';

export interface Instruction {
  readonly name: string;
  readonly execute: (machine: Machine) => void;
}

const OPCODES: readonly (readonly [code: number, name: string, execute: (machine: Machine) => void])[] = [
  // PROTO and FRAME only announce.
  [0x80, 'PROTO', (m) => requireProtocol(m, m.byte())],
  [0x95, 'FRAME', (m) => void m.uint64()],
  [0x28, 'MARK', (m) => m.pushMark()],
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

/** By code; STOP alone is not among them. */
export const INSTRUCTIONS: ReadonlyMap<number, Instruction> = new Map(
  OPCODES.map(([code, name, execute]) => [code, { name, execute }]),
);

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
