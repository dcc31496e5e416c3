/**
 * Reads Python pickles, protocols 2 to 5, without running anything: the host says what the few globals that it knows stand
 * for, and every other class or function is refused by its name before anything could be done with it. Plain data becomes
 * JavaScript's: dict → Map, list and tuple → array, int → number (or bigint where a number is not exact), None → null.
 */
import { Machine, type PickleHost } from './pickle-machine.ts';
import { INSTRUCTIONS } from './pickle-opcodes.ts';

const STOP = 0x2e;

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
  for (let code = machine.begin(); code !== STOP; code = machine.begin()) {
    const instruction = INSTRUCTIONS.get(code);
    if (instruction === undefined) throw machine.unknownOpcode(code);
    machine.name(instruction.name);
    instruction.execute(machine);
  }
  return { value: machine.pop(), end: machine.at };
}
