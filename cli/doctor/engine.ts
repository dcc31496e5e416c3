/** The engine, tried in a process of its own: TensorFlow, its device and threads, and a compiled step. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { StillhouseError } from '../../lib/base/errors.ts';
import { Settings } from '../../lib/base/settings.ts';
import { engineSettings } from '../../lib/engine/environment.ts';
import { Child } from '../cluster/child.ts';
import { lastWords } from '../cluster/child-log.ts';
import type { CliContext } from '../context.ts';
import { programArguments } from '../paths.ts';
import { counted, grouped } from '../text.ts';
import { type Check, fail, ok, warn } from './check.ts';
import type { EngineOrigin } from './engine-origin.ts';
import { type ProbeReport, probeReportSchema } from './probe-report.ts';

/** TensorFlow takes a second or two to load, on a busy machine with a cold disk a minute. */
export const ENGINE_LIMIT_MS = 90_000;
const STOP_LIMIT_MS = 500;

/** What the probe said, and what TensorFlow logged meanwhile; the report is absent when the engine does not work. */
export interface ProbeOutcome {
  readonly report?: ProbeReport;
  /** The last words of a probe that failed. */
  readonly failure?: string;
  readonly log: string;
}

/**
 * Runs the probe, whose speed test takes `testMs`; it has ended when this returns.
 *
 * @throws CANCELLED when the context's signal is aborted
 */
export async function runProbe(context: CliContext, limitMs: number, testMs: number): Promise<ProbeOutcome> {
  const folder = mkdtempSync(path.join(tmpdir(), 'stillhouse-doctor-'));
  const logPath = path.join(folder, 'probe.log');
  try {
    const child = new Child({
      name: 'engine-probe',
      command: process.execPath,
      args: [...programArguments('cli/doctor/engine-probe'), String(testMs)],
      // At level 0 TensorFlow says which kernels and devices it has, and why not others.
      environment: { ...context.environment, STILLHOUSE_EXIT_WITH_PARENT: '1', TF_CPP_MIN_LOG_LEVEL: '0' },
      logPath,
    });
    const stop = () => child.killGroup();
    context.signal.addEventListener('abort', stop, { once: true });
    try {
      const line = await child.ready(limitMs);
      return { report: probeReportSchema.parse(line), log: readFileSync(logPath, 'utf8') };
    } catch (thrown) {
      context.signal.throwIfAborted();
      return { ...describeFailure(thrown, readFileSync(logPath, 'utf8'), child.hasEnded) };
    } finally {
      context.signal.removeEventListener('abort', stop);
      await child.stop(STOP_LIMIT_MS);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function describeFailure(thrown: unknown, log: string, hasEnded: boolean): ProbeOutcome {
  const said = lastWords(log)
    .replace(/^engine-probe: |^\w*Error: /, '')
    .trim();
  // Before it ended it has said why, unless a signal ended it.
  const how = StillhouseError.from(thrown).message.split(/; it said last| \(log: /)[0] as string;
  const bySignal = /\((SIG\w+)\)/.exec(how)?.[1];
  if (hasEnded && bySignal === undefined && said !== '') return { failure: said, log };
  return { failure: bySignal === undefined ? how : `loading TensorFlow ended by ${bySignal}`, log };
}

const WAYS = {
  wheel: 'from its wheel',
  installer: 'by the installer of tfjs-node-gpu',
  existing: 'built before',
} as const;

/** What the outcome says, one check per subject. Pure. */
export function engineChecks({ report, failure = '' }: ProbeOutcome, origin: EngineOrigin): readonly Check[] {
  if (report === undefined) {
    return [fail('engine', failure, failureHint(failure))];
  }
  const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`;
  const memory = `${grouped(report.residentBytes / 2 ** 20)} MiB`;
  return [
    engineCheck(report, origin, `loaded in ${seconds(report.loadedMs)}`),
    ok('fingerprint', report.fingerprint, 'workers with the same one compute the same bits'),
    stepCheck(report, `process ready in ${seconds(report.compiledMs)}, ${memory}`),
    speedCheck(report),
  ];
}

/** Which engine, by which way it came, and what is to be done where it is the slow one. */
function engineCheck({ fingerprint, library }: ProbeReport, { source, attempts }: EngineOrigin, loaded: string): Check {
  const [name = ''] = fingerprint.split('/');
  if (isPlain(fingerprint)) {
    const why = attempts.map(({ way, problem }) => `; not by ${way}: ${problem}`).join('');
    const first = attempts.find(({ hint }) => hint !== undefined)?.hint;
    const version = name.replace('tensorflowjs-', '');
    return warn(
      'engine',
      `plain TensorFlow.js ${version}, orders of magnitude slower than TensorFlow's library; ${loaded}${why}`,
      first ?? 'unset STILLHOUSE_ENGINE, and run `stillhouse setup --retry-engine`',
    );
  }
  const way = source === null ? '' : ` ${WAYS[source]}`;
  const where = library === null ? '' : `, in ${path.dirname(library)}`;
  return ok('engine', `TensorFlow ${name.replace('tensorflow-', '')}${way}${where}, ${loaded}`);
}

function isPlain(fingerprint: string): boolean {
  return fingerprint.startsWith('tensorflowjs-');
}

function failureHint(failure: string): string | undefined {
  if (failure.includes('SIGILL')) return 'this processor lacks instructions that TensorFlow needs';
  // A wrong setting, or a hint of its own.
  if (failure.includes('STILLHOUSE_') || failure.endsWith(')')) return undefined;
  return 'run `npm run setup`; it builds the engine again';
}

function stepCheck({ fingerprint, eagerReason }: ProbeReport, start: string): Check {
  if (eagerReason === null) return ok('step', `compiled, equal to eager execution; ${start}`);
  const detail = `not compiled: ${eagerReason}; ${start}`;
  // Nothing compiles there, which the engine's own check says.
  if (isPlain(fingerprint)) return ok('step', detail);
  return fail('step', detail, 'jobs would run, but slowly: report this');
}

function speedCheck({ architecture, microBatch, stepMs, predictBatch, predictMs }: ProbeReport): Check {
  const steps = 1000 / stepMs;
  const training = `training ${steps.toFixed(steps < 10 ? 2 : 0)} steps/s, ${grouped(microBatch * steps)} images/s`;
  const predicting = `prediction ${grouped((1000 * predictBatch) / predictMs)} images/s`;
  return ok('speed', `${architecture} at 32x32: ${training} (micro-batch ${microBatch}); ${predicting}`);
}

/** The settings in force. @throws INVALID_ARGUMENT, naming the variable */
export function threadsCheck(context: CliContext): Check {
  const { intraOpThreads, interOpThreads } = engineSettings(new Settings(context.environment));
  const setting = context.environment.STILLHOUSE_THREADS ? 'STILLHOUSE_THREADS' : 'all processors';
  return ok(
    'threads',
    `${intraOpThreads} per operation (${setting}), ${counted(interOpThreads, 'operation')} at a time`,
  );
}

/** Whether TensorFlow uses oneDNN's kernels, by what it logged. Pure. */
export function oneDnnCheck({ report, log }: ProbeOutcome): readonly Check[] {
  if (report === undefined || isPlain(report.fingerprint)) return [];
  if (log.includes('oneDNN custom operations are on')) return [ok('oneDNN', 'on')];
  const hint =
    'TensorFlow turns it on by itself on processors with AVX512_VNNI; TF_ENABLE_ONEDNN_OPTS=1 does on others';
  return [warn('oneDNN', 'off', hint)];
}
