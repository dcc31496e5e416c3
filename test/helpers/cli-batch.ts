/** Command lines in one process for a whole test file: starting one takes longer than most of them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { CliResult } from './cli.ts';

const ENTRY = fileURLToPath(new URL('cli-batch-entry.ts', import.meta.url));

export interface CliBatch {
  readonly commands: readonly (readonly string[])[];
  /** All of it. */
  readonly environment: NodeJS.ProcessEnv;
}

/** Ends with the process that has started it, whose end closes its standard input. */
function startBatches() {
  const child = spawn(process.execPath, ['--import=tsx', ENTRY], { stdio: ['pipe', 'pipe', 'pipe'] });
  const said = { out: '', err: '' };
  let onText = () => {};
  for (const [name, stream] of [
    ['out', child.stdout],
    ['err', child.stderr],
  ] as const) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
      onText();
    });
  }
  for (const handle of [child, child.stdin, child.stdout, child.stderr] as { unref(): void }[]) handle.unref();
  const ended = once(child, 'close').then(() => {
    throw new Error(`ended too early: ${said.err}`);
  });
  // Whoever waits for an answer hears of it, also when the batch could not even be written.
  ended.catch(() => undefined);
  child.stdin.on('error', () => undefined);

  return async ({ commands, environment }: CliBatch): Promise<CliResult[]> => {
    Object.assign(said, { out: '', err: '' });
    // Without it a test that waits for nothing else would look like one that never ends.
    child.ref();
    child.stdin.write(`${JSON.stringify({ commands, environment })}\n`);
    const isDone = () =>
      said.out.split('\0').length > 2 * commands.length && said.err.split('\0').length > commands.length;
    const answered = new Promise<void>((resolve) => {
      onText = () => isDone() && resolve();
    });
    await Promise.race([answered, ended]);
    child.unref();
    const outs = said.out.split('\0');
    const errs = said.err.split('\0');
    return commands.map((_, index) => ({
      code: Number(outs[2 * index + 1]),
      out: outs[2 * index] as string,
      err: errs[index] as string,
    }));
  };
}

let run: ReturnType<typeof startBatches> | undefined;
let last: Promise<unknown> = Promise.resolve();

/** The results of several commands, run one after another, and after those of batches before. */
export function runClis(
  commands: readonly (readonly string[])[],
  environment: NodeJS.ProcessEnv = {},
): Promise<CliResult[]> {
  run ??= startBatches();
  const turn = run;
  const results = last.then(() => turn({ commands, environment: { ...process.env, ...environment } }));
  last = results.catch(() => undefined);
  return results;
}
