/**
 * Keeps native libraries in memory once they are loaded. Node unloads an addon when the last thread that loaded it ends, and
 * TensorFlow does not survive that: its own threads still run, and the process ends by SIGSEGV. Imported before it.
 */
import { constants } from 'node:os';

/** dlfcn.h; Node has no name for it. */
const RTLD_NODELETE: Readonly<Partial<Record<NodeJS.Platform, number>>> = { linux: 0x1000, darwin: 0x80 };

const dlopen = process.dlopen;

process.dlopen = (module: object, filename: string, flags: number = constants.dlopen.RTLD_LAZY) =>
  dlopen.call(process, module, filename, flags | (RTLD_NODELETE[process.platform] ?? 0));
