/** The folder of a run, `runs/<job>`: what is where, and what of an earlier run is in the way. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { stringify } from 'yaml';
import type { JobSpec } from '../../lib/wire/job-file.ts';
import { shownPath, table } from '../text.ts';

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
  readonly #job: string;
  readonly #report: string;

  /** Makes the folder and writes the job into it; what an earlier run has left there goes, its models apart. */
  constructor(path: string, spec: JobSpec) {
    this.path = path;
    this.logs = join(path, 'logs');
    this.metrics = join(path, 'metrics.jsonl');
    this.tensorboard = join(path, 'tensorboard');
    this.checkpoints = join(path, 'checkpoints');
    this.models = join(path, 'models');
    this.#job = join(path, 'job.yaml');
    this.#report = join(path, 'report.json');
    for (const old of [this.logs, this.metrics, this.tensorboard, this.checkpoints, this.#report]) {
      rmSync(old, { recursive: true, force: true });
    }
    mkdirSync(this.logs, { recursive: true });
    writeFileSync(this.#job, `# The job as it ran, with all defaults filled in.\n${stringify(spec)}`);
  }

  writeReport(report: object): void {
    writeFileSync(this.#report, `${JSON.stringify(report, null, 2)}\n`);
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
      [this.logs, 'what each process said'],
    ] as const;
    const found = rows.filter(([path]) => existsSync(path) && !isEmptyFolder(path));
    const entries = found.map(([path, text]) => [`  ${relative(this.path, path)}`, text]);
    return [`in ${shown}:`, ...table([['', ''], ...entries]).slice(1)];
  }
}

function isEmptyFolder(path: string): boolean {
  return /\.\w+$/.test(path) ? false : readdirSync(path).length === 0;
}
