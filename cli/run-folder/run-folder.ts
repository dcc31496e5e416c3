/** The folder of a run, `runs/<job>`: what is where, whose it is, and what of an earlier run is in the way. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { stringify } from 'yaml';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { JobSpec } from '../../lib/wire/job-file.ts';
import { shownPath, table } from '../text.ts';
import { LOCK_FILE, lockRunFolder } from './run-lock.ts';

const JOB_FILE = 'job.yaml';
/** The first line of the job file, by which a folder is known as a run's: in no other is anything deleted. */
const MARKER = '# The job as it ran, with all defaults filled in.';

export class RunFolder {
  /** The folder itself. */
  readonly path: string;
  readonly logs: string;
  /** One JSON object per line, see `metricRows`. */
  readonly metrics: string;
  /** A folder per phase. */
  readonly tensorboard: string;
  readonly checkpoints: string;
  /** A folder per model. They stay until the run has others to put in their place. */
  readonly models: string;
  /** A file per training whose epochs drop their tails, see `saveDropped`. */
  readonly dropped: string;
  readonly #job: string;
  readonly #report: string;
  readonly #unlock: () => void;

  /**
   * Takes the folder until `release` and writes the job into it; what an earlier run has left there goes, its models apart.
   * @throws FAILED_PRECONDITION for a folder with other things than a run's, or one in which another run is at work
   */
  constructor(path: string, spec: JobSpec) {
    this.path = path;
    this.logs = join(path, 'logs');
    this.metrics = join(path, 'metrics.jsonl');
    this.tensorboard = join(path, 'tensorboard');
    this.checkpoints = join(path, 'checkpoints');
    this.models = join(path, 'models');
    this.dropped = join(path, 'dropped');
    this.#job = join(path, JOB_FILE);
    this.#report = join(path, 'report.json');
    refuseForeign(path);
    mkdirSync(path, { recursive: true });
    this.#unlock = lockRunFolder(path);
    for (const old of [this.logs, this.metrics, this.tensorboard, this.checkpoints, this.dropped, this.#report]) {
      rmSync(old, { recursive: true, force: true });
    }
    writeWhole(this.#job, `${MARKER}\n${stringify(spec)}`);
    mkdirSync(this.logs);
  }

  /** Lets other runs have the folder. */
  release(): void {
    this.#unlock();
  }

  writeReport(report: object): void {
    writeWhole(this.#report, `${JSON.stringify(report, null, 2)}\n`);
  }

  /** What the run has left, a line each. */
  contents(): string[] {
    const shown = shownPath(this.path);
    const rows = [
      [this.#job, 'the job as it ran, with all defaults'],
      [this.#report, 'everything above, for programs'],
      [this.metrics, 'the course of the training, a JSON object per line'],
      [this.tensorboard, `curves: tensorboard --logdir ${join(shown, 'tensorboard')}`],
      [this.checkpoints, 'the latest two checkpoints of each training'],
      [this.models, 'the teacher and the students: model.json, weights.safetensors'],
      [this.dropped, 'the training images that each epoch has left out'],
      [this.logs, 'what each process said'],
    ] as const;
    const found = rows.filter(([path]) => existsSync(path) && !isEmptyFolder(path));
    const entries = found.map(([path, text]) => [`  ${relative(this.path, path)}`, text]);
    return [`in ${shown}:`, ...table([['', ''], ...entries]).slice(1)];
  }
}

/** A reader sees the file as it was or as it is, never half of it. */
function writeWhole(path: string, text: string): void {
  const draft = `${path}.draft`;
  writeFileSync(draft, text);
  renameSync(draft, path);
}

/** Refuses what is there and is neither empty nor a run's. */
function refuseForeign(path: string): void {
  if (!existsSync(path)) return;
  const hint = 'choose another folder with --out';
  let names: string[];
  try {
    names = readdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTDIR') throw error;
    throw new StillhouseError('FAILED_PRECONDITION', `${shownPath(path)} is a file, expected a folder`, {
      ...{ field: '--out', hint, cause: error },
    });
  }
  const others = names.filter((name) => name !== LOCK_FILE && name !== `${JOB_FILE}.draft`);
  const job = join(path, JOB_FILE);
  if (others.length === 0 || (existsSync(job) && readFileSync(job, 'utf8').startsWith(`${MARKER}\n`))) return;
  const message = `${shownPath(path)} is not empty and not the folder of a run: it has no ${JOB_FILE} that a run has written`;
  throw new StillhouseError('FAILED_PRECONDITION', message, { field: '--out', hint });
}

function isEmptyFolder(path: string): boolean {
  return /\.\w+$/.test(path) ? false : readdirSync(path).length === 0;
}
