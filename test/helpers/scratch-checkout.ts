/**
 * A checkout of its own to try the set-up on: our scripts, a package.json without packages, and a cache and a home that
 * nobody else has. Set-up runs there as a child process, driven by its environment only, as on a user's machine.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { tempFolder } from './temp-folder.ts';

const SCRIPTS = fileURLToPath(new URL('../../scripts', import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly output: string;
}

export interface RunningSetup {
  readonly child: ChildProcess;
  /** Resolves when its output so far contains the text; rejects when it ends without. */
  says(text: string): Promise<void>;
  readonly finished: Promise<Finished>;
}

export class ScratchCheckout {
  readonly root: string;
  readonly cache: string;
  readonly home: string;
  readonly #tools: string;

  private constructor(folder: string) {
    this.root = join(folder, 'checkout');
    this.cache = join(folder, 'cache');
    this.home = join(folder, 'home');
    this.#tools = join(folder, 'tools');
  }

  /** One whose npm packages are installed already (there are none), with only these programs on PATH. */
  static async make(t: ExecutionContext, programs: readonly string[]): Promise<ScratchCheckout> {
    const checkout = new ScratchCheckout(await tempFolder(t));
    for (const folder of [checkout.home, checkout.#tools]) mkdirSync(folder, { recursive: true });
    cpSync(SCRIPTS, join(checkout.root, 'scripts'), { recursive: true });
    checkout.describePackages({}, {});
    checkout.write('node_modules/.package-lock.json', JSON.stringify({ lockfileVersion: 3, packages: {} }));
    checkout.write('node_modules/@tensorflow/tfjs-node-gpu/binding/tfjs_binding.cc', '#error not the real one');
    for (const program of programs) checkout.addProgram(program, locate(program));
    return checkout;
  }

  /** Writes package.json and the lock file. */
  describePackages(own: object, locked: object): void {
    const project = { name: 'scratch', version: '1.0.0', ...own };
    this.write('package.json', JSON.stringify(project));
    this.write(
      'package-lock.json',
      JSON.stringify({ ...project, lockfileVersion: 3, packages: { '': project, ...locked } }),
    );
  }

  write(path: string, content: string): void {
    const file = join(this.root, path);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, content);
  }

  addProgram(name: string, target: string): void {
    symlinkSync(target, join(this.#tools, name));
  }

  start(environment: Record<string, string> = {}, args: readonly string[] = []): RunningSetup {
    const child = spawn(process.execPath, [join(this.root, 'scripts', 'setup.mjs'), ...args], {
      cwd: this.root,
      env: {
        HOME: this.home,
        STILLHOUSE_CACHE: this.cache,
        // The same on machines with a GPU.
        STILLHOUSE_GPU: 'off',
        PATH: this.#tools,
        LANG: 'C.UTF-8',
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return follow(child);
  }

  run(environment: Record<string, string> = {}, args: readonly string[] = []): Promise<Finished> {
    return this.start(environment, args).finished;
  }
}

function follow(child: ChildProcess): RunningSetup {
  let output = '';
  const watchers = new Set<() => void>();
  const onText = (chunk: Buffer) => {
    output += chunk;
    for (const watcher of watchers) watcher();
  };
  child.stdout?.on('data', onText);
  child.stderr?.on('data', onText);
  const finished = new Promise<Finished>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
  const says = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (output.includes(text)) resolve();
      };
      watchers.add(look);
      look();
      finished.then(() => reject(new Error(`it ended without saying "${text}":\n${output}`)), reject);
    });
  return { child, says, finished };
}

/** The program itself, not a launcher that would look for it again on PATH. */
function locate(program: string): string {
  if (program === 'node') return process.execPath;
  if (program === 'python3') {
    return execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim();
  }
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'));
  return execFileSync('sh', ['-c', 'command -v "$0"', program], {
    encoding: 'utf8',
    env: { PATH: folders.join(delimiter) },
  }).trim();
}
